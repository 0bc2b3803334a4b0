"""The contract of a decode step: one position of a mixer, in buffers that are made once.

    step = STEPS[kind](mixer, x_BD, y_BD, position)         reads x_BD, writes y_BD, whenever `run` is called

It equals the mixer's recurrent form, the definition, and allocates nothing: it is a list of calls, made once, that read
and write the same memory at every position. The state stands in the step's own buffers and is changed in place; `load`
copies one in, `state` copies it out, as the ordinary forms know it. Call them under inference mode, as `Stepper` does.

What a step makes of weights beforehand (decays, taps, gains side by side) is as they were then: after training, make
another step.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor

from isostate.config import UserError
from isostate.mixers.contract import Mixer, State
from isostate.mixers.rotary import RotaryConfig

Call = Callable[[], object]


class Position:
    """The position that all layers of a model are at, and what depends on it alone: made once a position, for all.

    `context`: positions that softmax layers keep; None where the model has none of them.
    """

    def __init__(self, like: Tensor, context: int | None = None) -> None:
        self.now, self.context = 0, context
        self.like = like
        self.at = torch.zeros((), dtype=torch.float64, device=like.device)
        self._turns: dict[tuple[RotaryConfig, int], tuple[Tensor, Tensor]] = {}
        self._calls: list[Call] = []

    def begin(self) -> None:
        """What a position needs before its layers."""
        self.at.fill_(self.now)
        for call in self._calls:
            call()

    def rotation(self, rotary: RotaryConfig, size: int) -> tuple[Tensor, Tensor]:
        """cos_K and sin_K of every pair at this position, times the gain."""
        key = (rotary, size)
        if key not in self._turns:
            frequency_K = rotary.frequencies(size, self.like.device)
            cos_K, sin_K = self.angles(frequency_K)
            gain = scalar(rotary.gain, cos_K)
            turns = (self.like.new_empty(size // 2), self.like.new_empty(size // 2))
            for turn_K, exact_K in zip(turns, (cos_K, sin_K), strict=True):
                self._calls += [partial(exact_K.mul_, gain), partial(turn_K.copy_, exact_K)]
            self._turns[key] = turns
        return self._turns[key]

    def angles(self, frequency_K: Tensor) -> tuple[Tensor, Tensor]:
        """Cosines and sines of position * frequency in float64, made anew at every position."""
        angle_K, cos_K, sin_K = (torch.empty_like(frequency_K) for _ in range(3))
        self._calls += [
            partial(torch.mul, frequency_K, self.at, out=angle_K),
            partial(torch.cos, angle_K, out=cos_K),
            partial(torch.sin, angle_K, out=sin_K),
        ]
        return cos_K, sin_K

    def then(self, *calls: Call) -> None:
        """More to do at every position, in order."""
        self._calls += calls


class MixerStep:
    """Abstract: a final class fills `calls`, and knows how its buffers become a state and back."""

    calls: list[Call]

    def __init__(self, mixer: Mixer, x_BD: Tensor, y_BD: Tensor, position: Position) -> None:
        self.mixer, self.x_BD, self.y_BD, self.position = mixer, x_BD, y_BD, position
        self.calls = []

    def run(self) -> None:
        """y_BD of x_BD, and the state after it."""
        for call in self.calls:
            call()

    def load(self, state: Any) -> None:
        """Goes on from this state; its position is given to `Position` by the caller."""
        raise NotImplementedError

    def state(self) -> State:
        """A copy, after the positions before `position.now`."""
        raise NotImplementedError


def scalar(value: float, like: Tensor) -> Tensor:
    """A number as a tensor: torch makes one of every Python number, and that would be an allocation a call."""
    return torch.tensor(value, dtype=like.dtype, device=like.device)


def check_batch(what: str, x: Tensor, batch: int) -> None:
    """Raises UserError for another number of sequences than the buffers are for."""
    if x.shape[0] != batch:
        raise UserError(f"{what} of {x.shape[0]} sequences: this decoder steps {batch}; make one of that batch")
