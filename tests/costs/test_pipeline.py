"""Pipelines: the bubble and the micro-batches at once, against schedules that are played through."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.costs.pipeline import bubble, layers_kept
from tests.costs.torch_free import imports_without_torch


def test_it_loads_without_torch():
    assert imports_without_torch("pipeline")


def play_1f1b(stages: int, micro_batches: int, forward: float, backward: float) -> tuple[float, list[int]]:
    """Time of an update, and the most micro-batches that each stage holds at once."""
    orders = []
    for stage in range(stages):
        ahead = min(stages - stage, micro_batches)
        order = [("F", i) for i in range(ahead)]
        for i in range(micro_batches):
            order.append(("B", i))
            if ahead + i < micro_batches:
                order.append(("F", ahead + i))
        orders.append(order)
    done: dict[tuple[str, int, int], float] = {}
    free, at = [0.0] * stages, [0] * stages
    while any(place < len(order) for place, order in zip(at, orders, strict=True)):
        for stage in range(stages):
            if at[stage] == len(orders[stage]):
                continue
            kind, i = orders[stage][at[stage]]
            before = ("F", i, stage - 1) if kind == "F" else ("B", i, stage + 1)
            if before[2] in (-1, stages):
                before = ("F", i, stage) if kind == "B" else None
            if before is not None and before not in done:
                continue
            start = max(free[stage], done.get(before, 0.0))
            free[stage] = done[kind, i, stage] = start + (forward if kind == "F" else backward)
            at[stage] += 1
    most = []
    for order in orders:
        held = peak = 0
        for kind, _ in order:
            held += 1 if kind == "F" else -1
            peak = max(peak, held)
        most.append(peak)
    return max(free), most


@pytest.mark.parametrize("stages, micro_batches", [(1, 4), (4, 4), (4, 16), (8, 8), (3, 30), (4, 2)])
def test_one_forward_one_backward(stages, micro_batches):
    forward, backward = 1.0, 2.0
    took, most = play_1f1b(stages, micro_batches, forward, backward)
    busy = micro_batches * (forward + backward)
    assert (took - busy) / busy == pytest.approx(bubble(stages, micro_batches))
    for stage in range(stages):
        assert layers_kept(stages, stages, micro_batches, stage=stage) == most[stage]


def test_interleaving_divides_the_bubble_and_keeps_more():
    assert bubble(8, 64, pieces=3) == pytest.approx(7 / (64 * 3))
    assert bubble(8, 64, pieces=3) != bubble(8, 64)
    # Korthikanti et al., 175B: 8 stages of 12 layers in 3 pieces, 1 + 7/24 = 1.2917 times the 96 layers' activations.
    assert layers_kept(96, 8, 64, pieces=3) == pytest.approx(96 * (1 + 7 / 24))


def test_interleaving_needs_whole_rounds_of_micro_batches():
    with pytest.raises(UserError, match="10 micro-batches, interleaved on 4 stages: give a multiple of 4"):
        bubble(4, 10, pieces=2)
