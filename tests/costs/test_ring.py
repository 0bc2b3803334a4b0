"""Ring attention: counts against all pairs of positions written out, and the critical paths of FORMULAS section 2."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.costs.ring import RING_LAYOUTS, critical_path, ring_pairs, ring_slowdown
from tests.costs.torch_free import imports_without_torch

every_layout = pytest.mark.parametrize("layout", RING_LAYOUTS)


def test_it_loads_without_torch():
    assert imports_without_torch("ring")


def positions_of(layout: str, context: int, ranks: int) -> list[list[int]]:
    share, half = context // ranks, context // (2 * ranks)
    if layout == "naive":
        return [list(range(rank * share, (rank + 1) * share)) for rank in range(ranks)]
    if layout == "striped":
        return [list(range(rank, context, ranks)) for rank in range(ranks)]
    pieces = [list(range(piece * half, (piece + 1) * half)) for piece in range(2 * ranks)]
    return [pieces[rank] + pieces[2 * ranks - 1 - rank] for rank in range(ranks)]


@pytest.mark.parametrize("context, ranks", [(64, 4), (48, 2), (96, 8), (30, 5), (8, 1)])
@every_layout
def test_pairs_are_those_that_causality_leaves(layout, context, ranks):
    held = positions_of(layout, context, ranks)
    counted = [
        [sum(q >= k for q in held[rank] for k in held[(rank - step) % ranks]) for rank in range(ranks)]
        for step in range(ranks)
    ]
    assert ring_pairs(context, ranks, layout) == counted
    assert sum(map(sum, counted)) == context * (context + 1) // 2


@pytest.mark.parametrize("layout, path", [("naive", 904), ("striped", 544), ("zig-zag", 520)])
def test_the_critical_paths_of_64_positions_on_4_ranks(layout, path):
    assert critical_path(64, 4, layout) == path == sum(max(step) for step in ring_pairs(64, 4, layout))


def test_what_a_step_costs_with_c_positions_a_rank():
    context, ranks = 64, 4
    c = context // ranks
    naive, striped, zigzag = (ring_pairs(context, ranks, layout) for layout in RING_LAYOUTS)
    assert [max(step) for step in naive] == [c * (c + 1) // 2, *[c**2] * 3]
    assert [max(step) for step in striped] == [c * (c + 1) // 2] * 4
    assert [max(step) for step in zigzag] == [c * (c + 1) // 2, *[c**2 // 2] * 3]
    # ERRATA 18: with later keys the keys sandwich the queries, so every query sees half, and none falls between them.
    assert all(pairs == c**2 // 2 for step in zigzag[1:] for pairs in step)


def test_long_sequences_are_balanced_but_for_the_naive_ring():
    slow = {layout: ring_slowdown(2**14, 16, layout) for layout in RING_LAYOUTS}
    assert slow["naive"] == pytest.approx(2 - 1 / 16, rel=1e-3)
    assert slow["zig-zag"] < slow["striped"] < 1.001


@every_layout
def test_sizes_that_do_not_divide_are_told(layout):
    needed = 6 if layout == "zig-zag" else 3
    with pytest.raises(UserError, match=f"give a multiple of {needed} positions"):
        ring_pairs(64, 3, layout)


def test_an_unknown_layout_is_answered_with_the_nearest():
    with pytest.raises(UserError, match=r"did you mean .striped"):
        ring_pairs(64, 4, "stripped")
