"""What this machine can do, measured: the peak of float32 matrix products, and memory bandwidth.

The best of several trials, since other work on the machine can only take speed away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

GEMM_SIZE = 1024  # three matrices of 4 MB: large enough for the peak, a few hundredths of a second a product
STREAM_ELEMENTS = 2**24  # 64 MB a vector, beyond any cache
FLOAT32_BYTES = 4


def measure_gemm(threads: int, size: int = GEMM_SIZE, trials: int = 7) -> float:
    """FLOPs a second of float32 matrix products of `size`, on that many threads; 1 multiply-accumulate = 2 FLOPs."""
    a, b, product = torch.ones(size, size), torch.ones(size, size), torch.empty(size, size)
    with _torch_threads(threads):
        seconds = best_seconds(lambda: torch.mm(a, b, out=product), trials)
    return 2 * size**3 / seconds


def measure_bandwidth(threads: int | None = None, elements: int = STREAM_ELEMENTS, trials: int = 7) -> float:
    """Bytes a second through memory, two vectors read and one written (STREAM's triad); torch's threads if not told."""
    a, b, total = torch.ones(elements), torch.ones(elements), torch.empty(elements)
    with _torch_threads(torch.get_num_threads() if threads is None else threads):
        seconds = best_seconds(lambda: torch.add(a, b, alpha=3.0, out=total), trials)
    return 3 * FLOAT32_BYTES * elements / seconds


def best_seconds(work: Callable[[], object], trials: int) -> float:
    """The fastest of `trials` runs, after one that warms up."""
    work()
    seconds = []
    for _ in range(trials):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)


@contextmanager
def _torch_threads(threads: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
