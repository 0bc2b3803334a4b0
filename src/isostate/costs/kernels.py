"""Kernels: what a processor runs one after another to train and to generate, each of a kind and a size.

An operator of a model (its norm, its projection) is a few kernels. A kernel's cost follows from its kind and shape; how
long it takes is measured (`calibrate.py`). Elements are float32.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from isostate.quantities import Cost, Operator

FLOAT32_BYTES = 4

# What the shape of each kind is, and what is counted for it, in `cost_of` below.
Kind = Literal[
    "matmul",  # rows, inner, columns
    "batched matmul",  # the same, many small ones in a call; units: matrices
    "query scores",  # head size, keys; one query a head against keys that lie in rows; units: heads
    "attention",  # positions, head size; torch's fused kernel, causal; units: heads
    "attention backward",
    "masked attention",  # queries, keys, head size; the fused kernel with a bias; units: heads
    "masked attention backward",
    "own attention",  # positions, head size; our fused kernel, causal; units: heads
    "own attention backward",
    "own window attention",  # positions, window, head size; our fused kernel; units: heads
    "own window attention backward",
    "own engine",  # degree, head size, positions; our kernel of the linear family's chunked form; units: heads
    "own engine backward",
    "own call",  # no shape: Python's way to a kernel of ours, as an operation that autograd knows
    "own call backward",
    "map",  # elements; a new tensor from one or two that were just written
    "map of saved",  # elements; a new tensor from one just written and one written long ago
    "update",  # elements; in place, just written
    "copy",  # elements; into a new tensor
    "strided",  # rows, row length; a new tensor from rows that do not follow each other
    "transpose",  # rows, row length; a copy whose rows were columns
    "sum rows",  # elements; over the last axis
    "sum columns",  # rows, row length; over the first axes
    "gather",  # rows, row length; index_select, embedding
    "scatter",  # rows, row length; index_add, embedding's backward
    "silu",  # elements
    "silu backward",
    "gelu",
    "gelu backward",
    "exp",  # elements, in place
    "dropout",  # elements; drawing included
    "layer norm",  # rows, row length
    "layer norm backward",
    "softmax",  # rows, row length
    "softmax backward",
    "log softmax",  # rows, row length
    "transform",  # rows, row length; a Fourier transform of real numbers
    "scan",  # channels of all positions, states of a channel; the selective scan
    "scan backward",
    "adamw",  # elements
    "call",  # no shape: an operation on next to nothing, or a view
]

# What the activation of each kind of feed-forward runs; tanh's gelu is taken for the exact one.
ACTING: dict[str, Kind] = {"swiglu": "silu", "reglu": "map", "relu": "map", "squared-relu": "map"}
ACTING |= dict.fromkeys(("geglu", "geglu-tanh", "gelu", "gelu-tanh"), "gelu")
ACTING_BACKWARD: dict[Kind, Kind] = {"silu": "silu backward", "gelu": "gelu backward", "map": "map of saved"}

# FLOPs, elements read and elements written, an element of the shape's product.
STREAMS: dict[str, tuple[float, float, float]] = {
    "map": (1, 2, 1),
    "map of saved": (1, 2, 1),
    "update": (1, 2, 1),
    "copy": (0, 1, 1),
    "strided": (0, 1, 1),
    "transpose": (0, 1, 1),
    "sum rows": (1, 1, 0),
    "sum columns": (1, 1, 0),
    "gather": (0, 1, 1),
    "scatter": (1, 2, 1),
    "silu": (5, 1, 1),
    "silu backward": (7, 2, 1),
    "gelu": (8, 1, 1),
    "gelu backward": (12, 2, 1),
    "exp": (4, 1, 1),
    "dropout": (10, 1, 2),
    "layer norm": (7, 1, 1),
    "layer norm backward": (12, 2, 1),
    "softmax": (5, 1, 1),
    "softmax backward": (4, 2, 1),
    "log softmax": (5, 1, 1),
    "adamw": (12, 4, 3),
}

# What runs by torch alone, and by our own kernels alone.
APART: dict[str, tuple[Kind, ...]] = {
    "torch": ("attention", "attention backward", "masked attention", "masked attention backward"),
    "own": (
        "own attention",
        "own attention backward",
        "own window attention",
        "own window attention backward",
        "own engine",
        "own engine backward",
        "own call",
        "own call backward",
    ),
}

# FLOPs an element of channels and states, and tensors of the channels' size that are read or written.
SCANS: dict[str, tuple[int, int]] = {"scan": (7, 3), "scan backward": (19, 5)}


@dataclass(frozen=True)
class Kernel:
    """One kind and shape, called `times` over, on `units` at once. `weights`: the second factor holds parameters."""

    kind: Kind
    shape: tuple[int, ...] = ()
    times: int = 1
    units: int = 1
    weights: bool = False

    def cost(self) -> Cost:
        """All its calls."""
        return self.times * self.units * cost_of(self.kind, self.shape)


def cost_of(kind: Kind, shape: tuple[int, ...]) -> Cost:
    """FLOPs and bytes of one. Fused attention counts every query and key: causal halving is off."""
    if kind in ("matmul", "batched matmul"):
        rows, inner, columns = shape
        moved = rows * inner + inner * columns + rows * columns
        return Cost(2 * rows * inner * columns, 0, FLOAT32_BYTES * moved)
    if kind == "query scores":
        size, keys = shape
        return Cost(2 * size * keys, 0, FLOAT32_BYTES * (size + size * keys + keys))
    if "attention" in kind:
        queries, keys, size = (shape[0], *shape) if len(shape) == 2 else shape
        backward = kind.endswith("backward")
        matmul, tensors = (10, 8) if backward else (4, 4)  # the backward makes the scores again
        moved = FLOAT32_BYTES * tensors * max(queries, keys) * size
        return Cost(matmul * queries * keys * size, 5 * queries * keys, moved)
    if "engine" in kind:
        degree, size, positions = shape
        matmul, tensors = (5, 8) if kind.endswith("backward") else (2, 4)
        state = math.comb(size + degree - 1, degree) * size
        moved = FLOAT32_BYTES * tensors * positions * size
        return Cost(2 * matmul * positions * state, 5 * matmul * positions * size, moved)
    if not shape:
        return Cost()
    if kind == "transform":
        rows, length = shape
        return Cost(0, int(2.5 * rows * length * math.log2(length)), FLOAT32_BYTES * 2 * rows * length)
    if kind in SCANS:
        each, tensors = SCANS[kind]
        return Cost(0, each * math.prod(shape), FLOAT32_BYTES * tensors * shape[0])
    n_flops, reads, writes = STREAMS[kind]
    elements = math.prod(shape)
    return Cost(0, int(n_flops * elements), int(FLOAT32_BYTES * (reads + writes) * elements))


@dataclass(frozen=True)
class Part:
    """An operator of a model as the kernels that it runs, `times` over."""

    name: str
    kernels: tuple[Kernel, ...]
    times: int = 1
    state_bytes: int = 0  # of the bytes moved, those of the state that the sequences carry

    @property
    def n_calls(self) -> int:
        return self.times * sum(kernel.times for kernel in self.kernels)

    def operator(self) -> Operator:
        cost = sum((kernel.cost() for kernel in self.kernels), Cost())
        weights = sum(k.shape[1] * k.shape[2] * k.times for k in self.kernels if k.weights)
        return Operator(self.name, cost, self.times, FLOAT32_BYTES * weights, self.state_bytes)


def repeated(parts: Sequence[Part], times: int) -> tuple[Part, ...]:
    return tuple(replace(part, times=times * part.times) for part in parts)


def calls(number: int) -> tuple[Kernel, ...]:
    """So many operations on next to nothing: what the others leave of the operations that torch dispatches."""
    return (Kernel("call", (), number),) if number > 0 else ()
