"""The state of the process that makes equal runs equal to the bit: threads, deterministic algorithms, generators."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def reproducible(threads: int, seed: int) -> Iterator[None]:
    """Inside the block torch computes on `threads` threads, deterministically, from a generator seeded by `seed`.

    Outside, all is as it was. Equal bits need the same machine and versions too.
    """
    deterministic: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fills = deterministic.fill_uninitialized_memory
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode("error")  # and not its alias that imports torch's compiler
        deterministic.fill_uninitialized_memory = False  # it costs time for memory that nobody reads
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            torch.set_deterministic_debug_mode(before[1])
            deterministic.fill_uninitialized_memory = fills
