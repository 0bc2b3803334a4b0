"""What was published: planted tables in its order and against it."""

from __future__ import annotations

import math

import numpy as np
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


@pytest.mark.parametrize(
    ("power_4", "verdict"), [(2.98, "confirmed"), (1.9, "refuted"), (3.05, "undecided"), (3.0, "undecided")]
)
def test_a_doubling_gains_less_and_less_where_both_gain(power_4, verdict):
    claim = published.less(planted_note.study(STATE_LAWS, four((3.2, 3.0, 2.9, power_4))))
    assert claim.verdict == verdict
    first, second = (3.2 - 3.0) / math.log2(65_536 / 16_384), (3.0 - power_4) / math.log2(524_288 / 65_536)
    assert [part.estimate.value for part in claim.parts] == pytest.approx([first - second, first, second], abs=0.005)
    assert "0.0966 then 0.0137 published" in claim.evidence
    if power_4 == 3.05:
        assert claim.parts[0].verdict() == "confirmed"  # which alone would hold a worse power-4 for a smaller gain
    assert ("power-4 is worse than power-2 here" in claim.evidence) == (second < 0 or claim.parts[2].estimate.value < 0)


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
        (3.0, 2.9, 0.004, "refuted", "refuted"),  # better with a gate, but it had nothing to cure
        (3.5, 3.4, 0.004, "confirmed", "refuted"),  # better, but of the gap it closes a quarter
        (3.5, 3.31, 0.05, "confirmed", "undecided"),  # half of it, give or take the noise
        (3.102, 3.101, 0.05, "undecided", "undecided"),
    ],
)
def test_power_without_a_gate_falls_behind_at_long_contexts_and_a_gate_helps(bare, gated, noise, behind, cured):
    studies = planted_note.study(CONTEXT, long(bare, gated, noise))
    assert published.behind(studies).verdict == behind
    claim = published.cured(studies)
    assert claim.verdict == cured
    assert ("no gap beyond the noise" in claim.evidence) == (behind != "confirmed")
    if bare > 3.4:
        assert claim.parts[2].estimate.value == pytest.approx((bare - gated) - (bare - 3.1) / 2, abs=2 * noise)


def at_a_price(longest: float, noise: float = 0.004) -> list[dict]:
    """After as many updates a fourfold context gains 0.1 nats, as does a doubling of updates; FLOPs of 1,024 tokens."""
    rng, rows = np.random.default_rng(5), []
    for context, price in ((64, 1.0), (256, 1.0), (1_024, longest)):
        for row in planted_note.rows("window", (1_024, 4_096), lambda s: 3.0, context=context):
            row["train_flops"] *= price
            for point in row["curve"]:
                loss = 3.0 - 0.05 * math.log2(context / 64) - 0.1 * math.log2(point["step"] / 100)
                point["eval"] = {at: loss + rng.normal(0.0, noise) for at in point["eval"]}
            rows.append(row)
    return rows


@pytest.mark.parametrize(("price", "verdict"), [(4.0, "confirmed"), (1.0, "refuted"), (2.0, "undecided")])
def test_the_best_training_context_lies_inside_or_at_an_end_at_equal_compute(price, verdict):
    claim = published.u_shape(planted_note.study(CONTEXT, at_a_price(price)))
    assert claim.verdict == verdict
    assert [part.what for part in claim.parts] == ["window, 64 less 256", "window, 1,024 less 256"]
    want = -0.1 + 0.1 * math.log2(price)  # at equal updates it would be -0.1 whatever the price
    assert claim.parts[1].estimate.value == pytest.approx(want, abs=0.01)
    assert "noise before the decay 0.0" in claim.evidence


def test_contexts_are_compared_by_the_states_that_all_of_them_have():
    rows = planted_note.rows("window", (1_024, 4_096), lambda s: 3.0 + (s > 2_000), context=64)
    rows += planted_note.rows("window", (1_024, 16_384), lambda s: 2.0 - (s > 2_000), context=256)
    found = published.over_states(planted_note.study(CONTEXT, rows).means(CONTEXT), "window")
    assert {context: round(float(column[0]), 1) for context, column in found.items()} == {64: 3.0, 256: 2.0}
