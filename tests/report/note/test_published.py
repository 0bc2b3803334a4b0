"""What was published: planted tables in its order and against it."""

from __future__ import annotations

import math

import pytest

from isostate.report.note import published
from isostate.report.note.studies import CONTEXT, STATE_LAWS
from tests.report import planted_note

LARGEST = {"linear": 16_384, "power-2-gated": 65_536, "window": 131_072, "power-4-gated": 524_288}


def four(losses: tuple[float, ...], noise: float = 0.004) -> list[dict]:
    """linear, power-2, a window over the whole context, power-4 at their largest states, and a worse one below each."""
    rows = []
    for (family, state), loss in zip(LARGEST.items(), losses, strict=True):
        rows += planted_note.rows(
            family, [state // 4, state], lambda s, at=state, best=loss: best + 0.3 * (s < at), noise=noise
        )
    for row in rows:
        if row["family"] == "window":
            row["mixer"]["window"] = 256 if row["state"]["elements"] == LARGEST["window"] else 64
    return rows


@pytest.mark.parametrize(
    ("losses", "noise", "verdict"),
    [
        ((3.2, 3.0, 2.9, 2.8), 0.004, "confirmed"),
        ((3.2, 3.0, 2.9, 2.95), 0.004, "refuted"),
        ((3.2, 3.0, 2.999, 2.998), 0.05, "undecided"),
    ],
)
def test_the_published_order_of_the_largest_states(losses, noise, verdict):
    claim = published.higher(planted_note.study(STATE_LAWS, four(losses, noise)))
    assert claim.verdict == verdict
    names = [part.what for part in claim.parts]
    assert names == ["linear less power-2-gated", "power-2-gated less window", "window less power-4-gated"]
    assert "elements: linear 16.4K, power-2-gated 65.5K, window 131K, power-4-gated 524K" in claim.evidence


@pytest.mark.parametrize(("power_4", "verdict"), [(2.98, "confirmed"), (1.9, "refuted")])
def test_a_doubling_gains_less_and_less(power_4, verdict):
    claim = published.less(planted_note.study(STATE_LAWS, four((3.2, 3.0, 2.9, power_4))))
    assert claim.verdict == verdict
    want = (3.2 - 3.0) / math.log2(65_536 / 16_384) - (3.0 - power_4) / math.log2(524_288 / 65_536)
    assert claim.parts[0].estimate.value == pytest.approx(want, abs=0.005)
    assert "0.0966 then 0.0137 published" in claim.evidence


def long(bare: float, gated: float, noise: float = 0.004) -> list[dict]:
    rows = planted_note.rows("softmax", [65_536], lambda s: 3.1, context=1_024, noise=noise)
    for family, loss in (("power-2", bare), ("power-2-gated", gated)):
        states = (4_096, 16_384)
        rows += planted_note.rows(family, states, lambda s, same=loss: same, context=1_024, noise=noise)
        rows += planted_note.rows(family, states, lambda s: 3.0, context=256, noise=noise)
    return rows


@pytest.mark.parametrize(
    ("bare", "gated", "noise", "behind", "cured"),
    [
        (3.5, 3.12, 0.004, "confirmed", "confirmed"),
        (3.0, 3.3, 0.004, "refuted", "refuted"),
        (3.102, 3.101, 0.05, "undecided", "undecided"),
    ],
)
def test_power_without_a_gate_falls_behind_at_long_contexts_and_a_gate_helps(bare, gated, noise, behind, cured):
    studies = planted_note.study(CONTEXT, long(bare, gated, noise))
    assert published.behind(studies).verdict == behind
    claim = published.cured(studies)
    assert claim.verdict == cured
    assert "at the largest state gated less softmax" in claim.evidence


@pytest.mark.parametrize(("best", "verdict"), [(256, "confirmed"), (1_024, "refuted")])
def test_the_best_training_context_lies_inside_or_at_an_end(best, verdict):
    rows = [
        row
        for context in (64, 256, 1_024)
        for row in planted_note.rows(
            "window", (1_024, 4_096), lambda s, t=context: 3 + 0.05 * abs(math.log2(t / best)), context=context
        )
    ]
    claim = published.u_shape(planted_note.study(CONTEXT, rows))
    assert claim.verdict == verdict
    assert [part.what for part in claim.parts] == ["window, 64 less 256", "window, 1,024 less 256"]


def test_contexts_are_compared_by_the_states_that_all_of_them_have():
    rows = planted_note.rows("window", (1_024, 4_096), lambda s: 3.0 + (s > 2_000), context=64)
    rows += planted_note.rows("window", (1_024, 16_384), lambda s: 2.0 - (s > 2_000), context=256)
    found = published.over_states(planted_note.study(CONTEXT, rows).means(CONTEXT), "window")
    assert {context: round(float(column[0]), 1) for context, column in found.items()} == {64: 3.0, 256: 2.0}
