"""How seconds are taken on a machine that does other work too."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch


def own_clock() -> float:
    """Seconds; on one thread those that it ran, so that other processes' are not counted as this machine's."""
    return time.thread_time() if torch.get_num_threads() == 1 else time.perf_counter()


def first_quartile(values: Sequence[float]) -> float:
    """What a machine takes when little disturbs it: its other work only slows it down, and the best may be luck."""
    return float(np.quantile(values, 0.25))
