"""Ring attention: which pairs of query and key each rank computes in each step, for three ways to lay out a sequence.

Keys and values go round the ring; in step j rank r has those of rank r - j. With S positions on R ranks, c = S / R:

- naive (Liu et al. 2023): rank r holds positions r c .. r c + c - 1. Pairs with a later rank are all masked, those with
  an earlier one all needed: some rank computes c^2 in every step but the first.
- striped (Brandon et al. 2023): rank r holds positions r, r + R, ..: about half of every pair of ranks is needed.
- zig-zag: rank r holds the r-th and the r-th last of 2 R pieces: exactly half of every pair of different ranks.

A step lasts as long as its busiest rank, so the critical path is the sum of the steps' largest counts.
"""

from __future__ import annotations

from typing import Literal, get_args

from isostate.config import UserError, nearest

RingLayout = Literal["naive", "striped", "zig-zag"]
RING_LAYOUTS: tuple[RingLayout, ...] = get_args(RingLayout)


def ring_pairs(context: int, ranks: int, layout: RingLayout) -> list[list[int]]:
    """[step][rank]: pairs of query and key that causal attention needs. Raises UserError where sizes do not divide."""
    if layout not in RING_LAYOUTS:
        raise UserError(
            f"ring layout {layout!r}{nearest(layout, RING_LAYOUTS)}: choose one of {', '.join(RING_LAYOUTS)}"
        )
    pieces = 2 * ranks if layout == "zig-zag" else ranks
    if ranks < 1 or context % pieces:
        raise UserError(f"context {context} on {ranks} ranks, {layout}: give a multiple of {max(pieces, 1)} positions")
    return [
        [_pairs(context // ranks, rank, (rank - step) % ranks, layout) for rank in range(ranks)]
        for step in range(ranks)
    ]


def critical_path(context: int, ranks: int, layout: RingLayout) -> int:
    """Pairs that the slowest rank of each step computes, all steps together, without writing out the ring."""
    ring_pairs(context, min(ranks, 1), layout)  # a wrong layout is told
    share = context // ranks
    diagonal = share * (share + 1) // 2
    slowest = {"naive": share**2, "striped": diagonal, "zig-zag": share**2 // 2}[layout]
    return diagonal + (ranks - 1) * slowest


def ring_slowdown(context: int, ranks: int, layout: RingLayout) -> float:
    """The critical path over an even share of all needed pairs: 1 is perfect balance."""
    return critical_path(context, ranks, layout) * ranks / (context * (context + 1) / 2)


def _pairs(share: int, query_rank: int, key_rank: int, layout: RingLayout) -> int:
    diagonal = share * (share + 1) // 2
    if query_rank == key_rank:
        return diagonal
    if layout == "naive":
        return share**2 if key_rank < query_rank else 0
    if layout == "striped":
        return diagonal if key_rank < query_rank else diagonal - share
    return share**2 // 2
