"""Tables of a study's numbers: what stands in a cell is what was planted."""

from __future__ import annotations

import math

import pytest

from isostate.report import markdown, numbers
from isostate.report.fits import fit_laws
from tests.report import studies


@pytest.fixture(scope="module")
def told():
    """Two families of six states at one size, three seeds, and one more size of one seed."""
    rows = studies.seeded()
    rows += [studies.run("window", size=studies.SIZES[1], state=state) for state in studies.STATES]
    rows.append(studies.diverged(family="window", state=999))
    for row in rows:
        row["config"]["train"] = {"threads": 1}
    return {
        **numbers.of_study(rows, fit_laws(rows, studies.STUDY)),
        "missing": [],
        "tuned": {"window": {"4": 0.004, "16": 0.004, "64": 0.016}},
    }


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


def test_a_table_has_a_head_and_a_rule_and_escapes_what_would_break_it():
    text = markdown.table(["a", "b"], [["x|y", "1"], ["bidi \u202e", "2"]])
    assert text.splitlines() == ["| a | b |", "| --- | ---: |", "| x\\|y | 1 |", "| bidi \\u202e | 2 |"]
    assert markdown.table(["a"], []) == "*Nothing here yet.*"


def test_numbers_are_written_with_a_true_minus_and_gaps_with_a_dash():
    assert markdown.nats(-0.12345) == "−0.123"
    assert markdown.nats(0.12345, 4, sign=True) == "+0.1235"
    assert markdown.nats(None) == markdown.nats(math.nan) == "–"
    assert markdown.interval({"value": 1.0, "low": -2.0, "high": math.inf}, 1) == "1.0 [−2.0, ∞]"


def test_laws_are_told_at_the_longest_context_or_another(told):
    rows = cells(markdown.laws(told))[2:]
    law = next(
        law
        for law in told["laws"]
        if law["group"] == {**law["group"], "family": "power-2", "size": "2x64", "eval_context": 1024}
    )
    alpha = law["params"]["alpha"]
    mine = next(row for row in rows if row[:2] == ["power-2", "2 × 64"])
    assert mine[4].startswith(f"{alpha['value']:.4g}"[:5])
    assert mine[5] == "–"  # no bootstrap was asked for
    assert mine[6] == f"{law['fallen_nats']:.4f}"
    assert len(rows) == 3
    assert markdown.laws(told).splitlines()[1].endswith("| --- |")  # the warnings are words
    assert markdown.laws(told, "256") != markdown.laws(told)


def test_a_law_on_a_bound_is_told_in_words_not_in_numbers(told):
    law = next(law for law in told["laws"] if law["group"]["eval_context"] == 1024)
    bound = {
        **{key: value for key, value in law.items() if not key.endswith("_nats")},
        "words": {"L_inf": "–", "A": "–", "alpha": "no power law: α at its bound, 8"},
        "warnings": "α on its bound 8: not converged to a power law",
    }
    (row,) = cells(markdown.laws({"laws": [bound]}))[2:]
    assert row[1:] == ["–", "–", bound["words"]["alpha"], "–", "–", "–", bound["warnings"]]


def test_hold_outs_stand_in_nats_and_in_noise(told):
    rows = cells(markdown.hold_outs(told))[2:]
    law = next(
        law["holdout"]
        for law in told["laws"]
        if law["group"] == {**law["group"], "family": "window", "size": "2x64", "eval_context": 1024}
    )
    mine = next(row for row in rows if row[:2] == ["window", "2 × 64"])
    assert mine[2] == "65.5K"
    assert mine[5].replace("−", "-") == f"{law['predicted'] - law['observed']:+.4f}"
    assert mine[6] == f"{law['miss_in_noise']:.1f}"
    assert mine[7] == f"{law['high'] - law['low']:.3f}"
    assert mine[8] == ("yes" if law["covered"] else "no")


def test_costs_losses_and_parameters(told):
    (spent,) = cells(markdown.hours({"01": told}))[2:]
    assert spent == ["01", "43", "1", "0", f"{told['core_hours']:.2f}"]
    twice = cells(markdown.hours({"01": told, "03": told}))[-1]
    assert twice == ["each run once", "43", "", "", f"{told['core_hours']:.2f}"]
    (lost,) = cells(markdown.diverged(told))[2:]
    assert lost[:2] == ["window", "999"]
    assert cells(markdown.parameters(told))[2] == ["2 × 64", "65,536", "65,536", "0 %", "1,024,000", "16"]


def test_a_folded_table_is_one_that_github_unfolds():
    assert markdown.folded("All", "| a |") == "<details>\n<summary>All</summary>\n\n| a |\n\n</details>"


def test_only_what_varies_has_a_column():
    one = [{"size": "2x64", "train_context": 256, "condition": "bard"}]
    assert markdown.places(one) == []
    two = [*one, {"size": "2x64", "train_context": 1_024, "condition": "bard"}]
    assert markdown.places(two) == ["train_context"]
    assert markdown.place(two[1], ["train_context"]) == ["1,024"]
    assert markdown.heads(["train_context", "size"]) == ["trained at", "layers × width"]
