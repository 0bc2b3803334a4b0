"""Causal softmax attention by our own kernel for CPUs (`attention.cpp`), where torch's would need a T x S bias or more.

    y_i = sum_{i-w < j <= i, first_i <= j} softmax_j(q_i . k_j / sqrt(K) - slope (i - j)) v_j

first_i: where the query's document begins, 0 where nothing says so. Keys that no query of a tile sees cost nothing.
Neither scores nor bias exist as a whole. Saved for backward: q, k, v, y and the logarithm of each query's sum.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from isostate.mixers.native import call, library, serves

SOURCE = "attention.cpp"
LARGEST_HEAD = 256  # elements: LARGEST of attention.cpp
NO_WINDOW = 2**31 - 1


def fuses(q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, dropout: float) -> bool:
    """Whether `attention` can run these: on a processor, in single or double precision, nothing dropped, V = K."""
    fits = not dropout and k_BGSK.shape == v_BGSV.shape and q_BHTK.shape[-1] <= LARGEST_HEAD
    return fits and q_BHTK.numel() > 0 and serves(SOURCE, q_BHTK, k_BGSK, v_BGSV)


def attention(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSK: Tensor,
    slopes_H: Tensor | None,
    window: int | None = None,
    first_BT: Tensor | None = None,
) -> Tensor:
    """y_BHTK: the last T of S positions query all S, causally, within `window`, from key `first_BT` (int32) on, which
    never falls along a row. Ask `fuses` first.
    """
    return _Attention.apply(q_BHTK, k_BGSK, v_BGSK, slopes_H, window, first_BT)


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q_BHTK, k_BGSK, v_BGSK, slopes_H, window, first_BT):
        first_BT = None if first_BT is None else first_BT.contiguous()
        q_BHTK, k_BGSK, v_BGSK = (_with_whole_rows(x) for x in (q_BHTK, k_BGSK, v_BGSK))
        B, H, T, _ = q_BHTK.shape
        y_BHTK, lse_BHT = _empty_like(q_BHTK), q_BHTK.new_empty(B, H, T)
        problem = _problem(q_BHTK, k_BGSK, slopes_H, window, first_BT, q=q_BHTK, k=k_BGSK, v=v_BGSK, y=y_BHTK)
        _call("forward", problem, q_BHTK, k_BGSK, v_BGSK, y_BHTK, lse_BHT)
        ctx.save_for_backward(q_BHTK, k_BGSK, v_BGSK, y_BHTK, lse_BHT, first_BT)
        ctx.slopes_H, ctx.window = slopes_H, window  # a table, shared by all layers: no gradient reaches it
        return y_BHTK

    @staticmethod
    @once_differentiable
    def backward(ctx, dy_BHTK):
        q_BHTK, k_BGSK, v_BGSK, y_BHTK, lse_BHT, first_BT = ctx.saved_tensors
        dy_BHTK = _with_whole_rows(dy_BHTK)
        dq_BHTK, dk_BGSK, dv_BGSK = (_empty_like(x) for x in (q_BHTK, k_BGSK, v_BGSK))
        rows = {"q": q_BHTK, "k": k_BGSK, "v": v_BGSK, "y": y_BHTK, "dy": dy_BHTK}
        rows |= {"dq": dq_BHTK, "dk": dk_BGSK, "dv": dv_BGSK}
        problem = _problem(q_BHTK, k_BGSK, ctx.slopes_H, ctx.window, first_BT, **rows)
        read = (q_BHTK, k_BGSK, v_BGSK, y_BHTK, lse_BHT, dy_BHTK)
        _call("backward", problem, *read, dq_BHTK, dk_BGSK, dv_BGSK)
        return dq_BHTK, dk_BGSK, dv_BGSK, None, None, None


class _Strides(ctypes.Structure):
    """`Strides` of attention.cpp: elements from one sequence, head and position to the next."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("batch", "head", "position"))


class _Problem(ctypes.Structure):
    """`Problem` of attention.cpp."""

    _fields_ = (
        *((name, ctypes.c_int) for name in ("B", "H", "G", "T", "S", "K", "window", "threads")),
        ("scale", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("slopes", "first")),
        *((name, _Strides) for name in ("q", "k", "v", "y", "dy", "dq", "dk", "dv")),
    )


def _problem(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    slopes_H: Tensor | None,
    window: int | None,
    first_BT: Tensor | None,
    **x: Tensor,
) -> _Problem:
    n_kv_heads, n_keys = k_BGSK.shape[1:3]
    widest = min(window or NO_WINDOW, NO_WINDOW)
    tables = [None if one is None else one.data_ptr() for one in (slopes_H, first_BT)]
    strides = {name: _Strides(*one.stride()[:3]) for name, one in x.items()}
    B, H, T, K = q_BHTK.shape
    return _Problem(B, H, n_kv_heads, T, n_keys, K, widest, torch.get_num_threads(), K**-0.5, *tables, **strides)


def _call(name: str, problem: _Problem, *x: Tensor) -> None:
    kernel = library(SOURCE, x[0].dtype)
    assert kernel is not None, "the caller asks fuses() first"
    kernel.scratch_elements.restype = ctypes.c_long
    elements = kernel.scratch_elements(ctypes.byref(problem), int(name == "backward"))
    scratch = x[0].new_empty(problem.threads * elements)
    call(SOURCE, name, problem, *x, scratch)


def _with_whole_rows(x_BHTK: Tensor) -> Tensor:
    return x_BHTK if x_BHTK.stride(-1) == 1 else x_BHTK.contiguous()


def _empty_like(x_BHTK: Tensor) -> Tensor:
    """Heads innermost but for their elements, so that joining them again copies nothing."""
    B, H, T, K = x_BHTK.shape
    return x_BHTK.new_empty(B, T, H, K).transpose(1, 2)
