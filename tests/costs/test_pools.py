"""Pools: memory is used in turn, and what is new goes on from what was made last."""

from __future__ import annotations

import torch

from isostate.costs.pools import chain, fresh, others


def test_a_chain_goes_on_from_its_newest_result_and_keeps_the_older():
    seen: list[torch.Tensor] = []

    def make(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x + 1

    work = chain(make, 3 * 4 * 8, torch.zeros(8))  # room for 3
    for _ in range(5):
        work()
    assert [float(x[0]) for x in seen] == [0, 1, 2, 3, 4]
    assert len({x.data_ptr() for x in seen[1:4]}) == 3


def test_fresh_results_stay_until_the_pool_is_full():
    made: list[int] = []

    def make() -> torch.Tensor:
        result = torch.empty(1024)
        made.append(result.data_ptr())
        return result

    work = fresh(make, 4 * 4096, 1024)
    for _ in range(4):
        work()
    assert len(set(made)) == 4


def test_other_tensors_come_in_turn_and_few_of_the_small():
    some = others(4 * 4096, 1024)
    assert len({next(some).data_ptr() for _ in range(8)}) == 4
    assert len({id(next(some)) for _ in range(8)}) == 4
