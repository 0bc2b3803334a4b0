"""The selective scan's kernel for CPUs, `scan.cpp`; `native.py` builds it. Torch's scan takes ten times as long."""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

from isostate.mixers import native

SOURCE = "scan.cpp"
CHANNELS = 64  # of a unit of work (scan.cpp)


class _Sizes(ctypes.Structure):
    """`Sizes` of scan.cpp."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("batch", "T", "I", "R", "chunk", "row", "kept", "threads")),
        ("starts", ctypes.c_void_p),
    )


def serves(like: Tensor) -> bool:
    """Whether the kernel runs such tensors, so that torch need not."""
    return native.serves(SOURCE, like)


def forward(
    x_BTI: Tensor,
    dt_BTI: Tensor,
    A_IR: Tensor,
    B_BTR: Tensor,
    C_BTR: Tensor,
    D_I: Tensor,
    states_BNIR: Tensor,
    starts_BT: Tensor | None,
    chunk: int,
) -> Tensor:
    """y_BTI; fills states_BNIR from the first on, or changes the only one."""
    x_BTI, dt_BTI, A_IR, D_I = (x.contiguous() for x in (x_BTI, dt_BTI, A_IR, D_I))
    B_BTR, C_BTR = _rows_alike(B_BTR, C_BTR)
    y_BTI = torch.empty_like(x_BTI)
    starts_BT = None if starts_BT is None else starts_BT.contiguous()
    sizes = _sizes(x_BTI, B_BTR, states_BNIR, starts_BT, chunk)
    native.call(SOURCE, "forward", sizes, x_BTI, dt_BTI, A_IR, B_BTR, C_BTR, D_I, states_BNIR, y_BTI)
    return y_BTI


def backward(
    x_BTI: Tensor,
    dt_BTI: Tensor,
    A_IR: Tensor,
    B_BTR: Tensor,
    C_BTR: Tensor,
    D_I: Tensor,
    states_BNIR: Tensor,
    starts_BT: Tensor | None,
    dy_BTI: Tensor,
    carry_BIR: Tensor,
    chunk: int,
) -> tuple[Tensor, ...]:
    """Gradients of x, dt, A, B, C, D; carry_BIR, the last state's gradient, becomes the first's.

    Units of work write apart what they share, and the parts are added in order: the same bits on any number of threads.
    """
    x_BTI, dt_BTI, A_IR, D_I, dy_BTI = (x.contiguous() for x in (x_BTI, dt_BTI, A_IR, D_I, dy_BTI))
    B_BTR, C_BTR = _rows_alike(B_BTR, C_BTR)
    batch, n_units = x_BTI.shape[0], -(-x_BTI.shape[2] // CHANNELS)
    dx_BTI, ddt_BTI = torch.empty_like(x_BTI), torch.empty_like(dt_BTI)
    dA_BIR, dD_BI = A_IR.new_zeros(batch, *A_IR.shape), D_I.new_zeros(batch, *D_I.shape)
    dB_MBTR, dC_MBTR = B_BTR.new_empty(n_units, *B_BTR.shape), C_BTR.new_empty(n_units, *C_BTR.shape)
    starts_BT = None if starts_BT is None else starts_BT.contiguous()
    sizes = _sizes(x_BTI, B_BTR, states_BNIR, starts_BT, chunk)
    read = (x_BTI, dt_BTI, A_IR, B_BTR, C_BTR, D_I, states_BNIR, dy_BTI)
    native.call(SOURCE, "backward", sizes, *read, carry_BIR, dx_BTI, ddt_BTI, dA_BIR, dB_MBTR, dC_MBTR, dD_BI)
    return dx_BTI, ddt_BTI, dA_BIR.sum(0), dB_MBTR.sum(0), dC_MBTR.sum(0), dD_BI.sum(0)


def _rows_alike(B_BTR: Tensor, C_BTR: Tensor) -> tuple[Tensor, Tensor]:
    """Both with rows one stride apart, as parts of one projection are; else copied."""
    _, length, size = B_BTR.shape
    row = B_BTR.stride(1)
    same = all(x.stride() == (length * row, row, 1) for x in (B_BTR, C_BTR))
    return (B_BTR, C_BTR) if same and row >= size else (B_BTR.contiguous(), C_BTR.contiguous())


def _sizes(x_BTI: Tensor, B_BTR: Tensor, states_BNIR: Tensor, starts_BT: Tensor | None, chunk: int) -> _Sizes:
    batch, length, channels = x_BTI.shape
    keeps_states = states_BNIR.shape[1] > 1
    row, starts = B_BTR.stride(1), None if starts_BT is None else starts_BT.data_ptr()
    return _Sizes(batch, length, channels, B_BTR.shape[2], chunk, row, keeps_states, torch.get_num_threads(), starts)
