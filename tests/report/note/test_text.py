"""Texts: what a doubling of state gains on a text that was changed, against the text as it is."""

from __future__ import annotations

import math

import pytest

from isostate.report.note import text
from isostate.report.note.studies import DATA
from tests.report import planted_note

STATES = (1_024, 4_096, 16_384, 65_536)
RECALL, SPREAD = "bard + recall of 8 at 64, 25 %", "bard, 3 fillers"


def on(corpus: str, a_doubling: float, noise: float, part: str | None = None) -> list[dict]:
    rows = planted_note.rows("window", STATES, lambda s: 4.0 - a_doubling * math.log2(s / 1_024), noise=noise)
    for row in rows:
        row["corpus"] = corpus
        for final in row["final"].values():
            if part is not None:
                final["parts"] = {part: {"loss_nats": final["loss_nats"], "n_tokens": 100}}
                final["loss_nats"] = 1.0  # of all, fillers too
    return rows


@pytest.mark.parametrize(
    ("recall", "noise", "verdict"),
    [(0.05, 0.004, "confirmed"), (0.005, 0.004, "refuted"), (0.022, 0.05, "undecided")],
)
def test_state_pays_more_on_a_text_with_recall_or_less(recall, noise, verdict):
    rows = on("bard", 0.02, noise) + on(RECALL, recall, noise)
    (claim,) = text.of_the_text(planted_note.study(DATA, rows))
    assert claim.verdict == verdict
    assert claim.parts[0].estimate.value == pytest.approx(recall - 0.02, abs=noise)


def test_a_diluted_text_is_judged_by_its_own_words_and_not_by_fillers():
    rows = on("bard", 0.02, 0.004) + on(SPREAD, 0.05, 0.004, part="text")
    (claim,) = text.of_the_text(planted_note.study(DATA, rows))
    assert claim.verdict == "confirmed"
    assert claim.parts[0].estimate.value == pytest.approx(0.03, abs=0.004)  # by all its tokens it would be -0.02
    assert "on bard, 3 fillers and on bard" in claim.evidence
    assert "compared: bard, 3 fillers (the text's own tokens) with bard" in claim.evidence


def test_noise_is_that_of_each_text():
    rows = on("bard", 0.02, 0.001) + on(RECALL, 0.05, 0.02)
    study = planted_note.study(DATA, rows)[DATA]
    quiet, loud = text.gain(study, "bard", "window", "all")[1], text.gain(study, RECALL, "window", "all")[1]
    assert loud.sd > 5 * quiet.sd
    assert quiet.dof == loud.dof == 8


def test_names_of_texts_tell_what_they_were_made_of():
    assert text.unchanged(RECALL) == text.unchanged(SPREAD) == text.unchanged("bard") == "bard"


def test_a_text_without_its_plain_one_is_not_compared():
    (claim,) = text.of_the_text(planted_note.study(DATA, on(RECALL, 0.05, 0.004)))
    assert (claim.verdict, claim.parts) == ("undecided", ())
