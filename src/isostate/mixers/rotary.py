"""Rotary positions (Su et al. 2021), and how they are stretched beyond the context that they were trained at.

    pair (i, i + K/2) turns by position * f_i,    f_i = base^(-2i/K)        (FORMULAS section 1.5)

    linear   f_i / s                                                (Chen et al. 2023, position interpolation)
    ntk      base s^(K / (K - 2)): the slowest pair turns s times slower, the fastest as before (bloc97 2023)
    yarn     f_i / s for pairs that turn less than `slow` times within the trained context, f_i for those that turn
             more than `fast` times, a ramp between; scores larger by (1 + ln(s) / 10)^2 (Peng et al. 2023)
    llama3   the same with a ramp in the turns themselves, and scores as they are (Llama 3.1's code)

All depend on the position alone, never on the length: a cache of turned keys stays right as it grows.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor

from isostate.config import Config

Scaling = Literal["none", "linear", "ntk", "yarn", "llama3"]
RAMPS: dict[str, tuple[float, float]] = {"yarn": (1.0, 32.0), "llama3": (1.0, 4.0)}  # turns: slow, fast


class RotaryConfig(Config):
    """`factor` (s): how much longer than `trained_context`. `slow`, `fast`: turns within it, of yarn and llama3."""

    base: float = 10_000.0
    scaling: Scaling = "none"
    factor: float = 1.0
    trained_context: int | None = None
    slow: float | None = None
    fast: float | None = None

    @model_validator(mode="after")
    def _scaling_has_what_it_needs(self) -> Self:
        if self.base <= 1:
            raise ValueError(f"base = {self.base:g}: must be larger than 1, such as 10000")
        if self.factor < 1 or (self.scaling == "none" and self.factor != 1):
            raise ValueError(f'factor = {self.factor:g}: must be at least 1, and 1 where scaling = "none"')
        has_ramp = self.scaling in RAMPS
        if has_ramp != (self.trained_context is not None):
            need = "needs" if has_ramp else "knows no"
            raise ValueError(f'scaling = "{self.scaling}" {need} trained_context, the context of the first training')
        if not has_ramp and (self.slow is not None or self.fast is not None):
            raise ValueError(f'slow, fast: scaling = "{self.scaling}" has no ramp; leave them out')
        if has_ramp and not 0 < self.turns[0] < self.turns[1]:
            raise ValueError(f"slow, fast = {list(self.turns)}: must be 0 < slow < fast")
        return self

    @property
    def turns(self) -> tuple[float, float]:
        slow, fast = RAMPS[self.scaling]
        return self.slow or slow, self.fast or fast

    @property
    def gain(self) -> float:
        """Of queries and of keys."""
        return 1 + 0.1 * math.log(self.factor) if self.scaling == "yarn" else 1.0

    def frequencies(self, size: int, device: torch.device) -> Tensor:
        """f of each pair, in float64."""
        base = self.base
        if self.scaling == "ntk" and size > 2:
            base *= self.factor ** (size / (size - 2))
        pair_K = torch.arange(0, size, 2, dtype=torch.float64, device=device)
        frequency_K = base ** (-pair_K / size)
        if self.scaling == "linear":
            return frequency_K / self.factor
        if self.scaling in RAMPS:
            kept_K = self._kept(size, pair_K / 2, frequency_K)
            return frequency_K * (kept_K + (1 - kept_K) / self.factor)
        return frequency_K

    def _kept(self, size: int, pair_K: Tensor, frequency_K: Tensor) -> Tensor:
        """The share of each pair's frequency that stays as it is: 1 for fast ones, 0 for slow ones."""
        assert self.trained_context is not None
        slow, fast = self.turns
        if self.scaling == "llama3":
            turns_K = self.trained_context * frequency_K / (2 * math.pi)
            return ((turns_K - slow) / (fast - slow)).clamp(0, 1)
        first, last = (self._pair_that_turns(times, size) for times in (fast, slow))
        first, last = max(math.floor(first), 0), min(math.ceil(last), size - 1)
        return 1 - ((pair_K - first) / (last - first or 0.001)).clamp(0, 1)

    def _pair_that_turns(self, times: float, size: int) -> float:
        assert self.trained_context is not None
        return size * math.log(self.trained_context / (2 * math.pi * times)) / (2 * math.log(self.base))


PLAIN = RotaryConfig()


def rotate(x_BHTK: Tensor, start: int | Tensor, rotary: RotaryConfig = PLAIN) -> Tensor:
    """Positions start, start + 1, .., or position_BT: the same rotation for queries and keys, so that their dot product
    depends on the distance alone.
    """
    if isinstance(start, Tensor):
        table = _rotation(int(start.max()) + 1, x_BHTK.shape[-1], 0, rotary, x_BHTK.dtype, x_BHTK.device)
        cos, sin = (x[start].unsqueeze(1) for x in table)
    else:
        cos, sin = _rotation(x_BHTK.shape[-2], x_BHTK.shape[-1], start, rotary, x_BHTK.dtype, x_BHTK.device)
    first, second = x_BHTK.chunk(2, dim=-1)
    return x_BHTK * cos + torch.cat([-second, first], dim=-1) * sin


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # else a cache first filled while generating could not be used in training
def _rotation(
    length: int, size: int, start: int, rotary: RotaryConfig, dtype: torch.dtype, device: torch.device
) -> tuple[Tensor, Tensor]:
    frequency_K = rotary.frequencies(size, device)
    angle_TK = torch.arange(start, start + length, dtype=torch.float64, device=device)[:, None] * frequency_K
    angle_TK = torch.cat([angle_TK, angle_TK], dim=-1)
    return (angle_TK.cos() * rotary.gain).to(dtype), (angle_TK.sin() * rotary.gain).to(dtype)
