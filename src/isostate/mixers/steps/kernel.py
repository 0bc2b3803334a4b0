"""The kernels of a decode step, `step.cpp`; `native.py` builds them. Torch's matrix-vector product runs at half of what
memory gives on two threads, and a recurrence in torch passes over its state three times (NOTEBOOK).

A call is bound once to its sizes and tensors, so that a step only makes it.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor

from isostate.mixers import native
from isostate.mixers.steps.contract import Call

SOURCE = "step.cpp"
LARGEST_BATCH = 12  # sequences up to which `linear` beats a matrix product of torch's (NOTEBOOK, 2026-11-26)


class Linear(ctypes.Structure):
    """`Linear` of step.cpp."""

    _fields_ = tuple((name, ctypes.c_int64) for name in ("batch", "n_in", "n_out", "x_row", "y_row", "threads"))


class Norm(ctypes.Structure):
    """`Norm` of step.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("rows", "size", "x_row", "y_row", "gains", "centred")),
        ("eps", ctypes.c_double),
    )


class Convolution(ctypes.Structure):
    """`Convolution` of step.cpp."""

    _fields_ = tuple((name, ctypes.c_int64) for name in ("batch", "width", "past", "first", "x_row"))


class Scan(ctypes.Structure):
    """`Scan` of step.cpp."""

    _fields_ = tuple((name, ctypes.c_int64) for name in ("batch", "channels", "states", "select_row", "threads"))


class Filter(ctypes.Structure):
    """`Filter` of step.cpp."""

    _fields_ = tuple((name, ctypes.c_int64) for name in ("batch", "channels", "states", "in_pairs", "x_row", "threads"))


class Recurrence(ctypes.Structure):
    """`Recurrence` of step.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "heads", "K", "P", "V", "degree", "q_row", "k_row", "v_row")),
        *((name, ctypes.c_int64) for name in ("threads", "levels", "normalised")),
        ("eps", ctypes.c_double),
    )


class _Bound:
    """A kernel's function with what it is called on: that memory lives as long, even where a layer moves to other."""

    def __init__(self, function: str, sizes: ctypes.Structure, tensors: Sequence[Tensor | None]) -> None:
        like = next(one for one in tensors if one is not None)
        kernel = native.library(SOURCE, like.dtype)
        assert kernel is not None, "the caller asks serves() first"
        self.function, self.kept = kernel[function], [one if one is None else one.detach() for one in tensors]
        self.pointers = [None if one is None else ctypes.c_void_p(one.data_ptr()) for one in tensors]
        self.sizes = ctypes.byref(sizes)

    def __call__(self) -> None:
        self.function(self.sizes, *self.pointers)


def serves(*x: Tensor) -> bool:
    """Whether the kernels run such tensors, so that torch need not."""
    return native.serves(SOURCE, *x)


def bound(function: str, sizes: ctypes.Structure, *x: Tensor | None) -> Call:
    """The call of a function of step.cpp on these tensors."""
    return _Bound(function, sizes, x)


def threads() -> int:
    """As torch has them when a step is made."""
    return torch.get_num_threads()
