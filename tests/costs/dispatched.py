"""Counting the operations that torch dispatches, and small models to count."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from isostate.mixers import MixerConfig
from isostate.model import Decoder, ModelConfig

VOCABULARY = 29


class _Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.number = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.number += 1
        return func(*args, **(kwargs or {}))


def dispatched(work: Callable[[], object]) -> int:
    counter = _Count()
    with counter:
        work()
    return counter.number


def model_of(mixer: MixerConfig, **changes) -> ModelConfig:
    sizes = {"vocab_size": VOCABULARY, "n_layers": 2, "d_model": mixer.d_model}
    return ModelConfig.parse(sizes | {"mixer": mixer.to_dict()} | changes, "m")


def tokens(batch: int, context: int) -> Tensor:
    return torch.zeros(batch, context, dtype=torch.long)


def generation(config: ModelConfig, batch: int, context: int) -> Callable[[], object]:
    """One step of generation behind `context` tokens."""
    model = Decoder(config)
    with torch.no_grad():
        _, state = model(tokens(batch, context))

    def step() -> object:
        with torch.no_grad():
            return model(tokens(batch, 1), state, "recurrent")

    return step
