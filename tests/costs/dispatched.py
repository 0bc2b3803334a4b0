"""Counting the operations that torch dispatches, and small models to count."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from isostate.mixers import MixerConfig
from isostate.model import Decoder, ModelConfig

VOCABULARY = 29


# Operations that make no tensor, and those that are products, transforms or fused kernels: counted elsewhere.
VIEWS = {"view", "_unsafe_view", "t", "transpose", "expand", "slice", "select", "split", "split_with_sizes", "permute"}
VIEWS |= {"detach", "alias", "unsqueeze", "squeeze", "empty", "empty_like", "new_empty", "new_empty_strided"}
VIEWS |= {"view_as_real", "view_as_complex", "_conj", "_neg_view", "unbind"}
PRODUCTS = {"mm", "bmm", "addmm_", "addmm", "_fft_r2c", "_fft_c2r"}


class _Count(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.number = 0
        self.elements = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.number += 1
        name = func.overloadpacket.__name__
        if name not in VIEWS | PRODUCTS and "attention" not in name:
            results = result if isinstance(result, (tuple, list)) else [result]
            sizes = [x.numel() * x.element_size() / 4 for x in results if isinstance(x, Tensor)]
            summed = [x.numel() for x in args if isinstance(x, Tensor)] if name in ("sum", "linalg_vector_norm") else []
            self.elements += max([*sizes, *summed], default=0)
        return result


def dispatched(work: Callable[[], object]) -> int:
    """How many operations."""
    counter = _Count()
    with counter:
        work()
    return counter.number


def elements_made(work: Callable[[], object]) -> float:
    """Elements, of float32's size, that operations other than products write, or read to sum them."""
    counter = _Count()
    with counter:
        work()
    return counter.elements


def model_of(mixer: MixerConfig, **changes) -> ModelConfig:
    """`changes` may ask for biases: then the mixer has its part of them."""
    sizes = {"vocab_size": VOCABULARY, "n_layers": 2, "d_model": mixer.d_model}
    given = {key: value for key, value in mixer.to_dict().items() if key != "bias"}
    return ModelConfig.parse(sizes | {"mixer": given} | changes, "m")


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
