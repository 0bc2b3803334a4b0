"""Memory that was used some time ago, as a model's new tensors and its weights lie in when they are used again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from isostate.costs.kernels import FLOAT32_BYTES

CACHED_POOL, MEMORY_POOL = 2**21, 2**26  # bytes: within the caches of today, and beyond them
MOST_TENSORS = 256  # in a pool: small ones need no more to leave the innermost cache

Work = Callable[[], object]


def places(pool: int, elements: int) -> int:
    return max(2, min(MOST_TENSORS, pool // (FLOAT32_BYTES * elements)))


def chain(make: Callable[[Tensor], Tensor], pool: int, first: Tensor) -> Work:
    """Runs `make` on its own newest result."""
    ring = [first] * places(pool, first.numel())
    turns = itertools.count()

    def work() -> None:
        turn = next(turns)
        ring[(turn + 1) % len(ring)] = make(ring[turn % len(ring)])

    return work


def fresh(make: Callable[[], Tensor], pool: int, elements: int) -> Work:
    """Keeps the newest results of `make`, each of so many elements, until they fill the pool."""
    ring: list[Tensor | None] = [None] * places(pool, elements)
    turns = itertools.count()

    def work() -> None:
        ring[next(turns) % len(ring)] = make()

    return work


def others(pool: int, *shape: int) -> Iterator[Tensor]:
    """Tensors in turn: of a large pool, none was touched lately."""
    first = torch.ones(shape)
    return itertools.cycle([torch.ones(shape) for _ in range(places(pool, first.numel()))])
