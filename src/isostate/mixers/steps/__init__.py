"""Decode steps: one position of every mixer, in buffers made once. A row a kind."""

from __future__ import annotations

from isostate.mixers.steps.attention import AttentionStep
from isostate.mixers.steps.contract import Call, MixerStep, Position
from isostate.mixers.steps.mamba import MambaStep
from isostate.mixers.steps.mamba2 import Mamba2Step
from isostate.mixers.steps.recurrence import LinearFamilyStep
from isostate.mixers.steps.s4 import S4Step

STEPS: dict[str, type[MixerStep]] = {
    "softmax": AttentionStep,
    "window": AttentionStep,
    "linear": LinearFamilyStep,
    "taylor": LinearFamilyStep,
    "power": LinearFamilyStep,
    "mamba2": Mamba2Step,
    "mamba": MambaStep,
    "s4": S4Step,
}

__all__ = ["STEPS", "Call", "MixerStep", "Position"]
