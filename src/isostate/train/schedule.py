"""Learning rates as a function of the step. All warm up linearly, then differ.

`share(progress)` is the share of the way from the lowest rate to the peak, `progress` in [0, 1] what has been done of
the updates after warm-up. Cosine: FORMULAS section 3, `eta_min + (eta_max - eta_min) (1 + cos(pi s / s_max)) / 2`;
warm-up, stable, decay: Hu et al., 2024 (MiniCPM), its last part linear.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def cosine(progress: float, decay_share: float) -> float:
    """Half a cosine from peak to lowest; `decay_share` plays no part."""
    return (1 + math.cos(math.pi * progress)) / 2


def wsd(progress: float, decay_share: float) -> float:
    """At the peak until the last `decay_share` of the updates, then straight down to the lowest."""
    return 1.0 if decay_share == 0 else min(1.0, (1 - progress) / decay_share)


def constant(progress: float, decay_share: float) -> float:
    """At the peak to the end."""
    return 1.0


SCHEDULES: dict[str, Callable[[float, float], float]] = {"cosine": cosine, "wsd": wsd, "constant": constant}


def learning_rate(
    schedule: str, step: int, *, steps: int, peak: float, warmup_steps: int, decay_share: float, min_share: float
) -> float:
    """The rate of update `step` (0 .. steps - 1). In warm-up peak * (step + 1) / (warmup_steps + 1): never 0."""
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    share = SCHEDULES[schedule]((step - warmup_steps) / (steps - warmup_steps), decay_share)
    return peak * (min_share + (1 - min_share) * share)
