"""How a calibration runs the chunked form of the linear family by our own kernel: powers of one degree, normalised."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from isostate.costs.pools import Work
from isostate.mixers import engine_kernel
from isostate.mixers.feature_maps import PolynomialMap

LARGEST_HEADS, WORK = 64, 2**24  # multiply-adds of a run


def own_engine(degree: int, size: int, positions: int) -> tuple[Work, int]:
    """The work, and its heads."""
    inputs, read = _prepared(degree, size, positions)
    return lambda: read(inputs), inputs[0].shape[0] * 4


def own_engine_backward(degree: int, size: int, positions: int) -> tuple[Work, int]:
    """Its three gradients."""
    inputs, read = _prepared(degree, size, positions)
    y = read(inputs)
    grad = torch.ones_like(y)
    return lambda: torch.autograd.grad(y, inputs, grad, retain_graph=True), inputs[0].shape[0] * 4


def _prepared(degree: int, size: int, positions: int) -> tuple[list[Tensor], Callable[[list[Tensor]], Tensor]]:
    """Queries, keys and values of one to many times four heads, and what reads them."""
    feature_map = PolynomialMap((0.0,) * degree + (1.0,), size)
    P = feature_map.expanded_size
    batch = max(1, min(LARGEST_HEADS // 4, WORK // (8 * positions * P * size)))
    shape = (batch, positions, 4, size)
    elements = torch.linspace(0.1, 1, math.prod(shape)).view(shape)
    inputs = [elements.transpose(1, 2).detach().clone().requires_grad_() for _ in range(3)]
    chunk = engine_kernel.best_chunk(feature_map, size + 1, positions)
    state = torch.zeros(batch, 4, P, size), torch.zeros(batch, 4, P)

    def read(x: list[Tensor]) -> Tensor:
        q, k, v = x
        return engine_kernel.chunked(q, k, v, None, *state, feature_map, chunk)[0]

    return inputs, read
