"""The kernels that a calibration measures: for every kind a few sizes, and how to run one as a model does.

A model's new tensors lie in memory that was used some time ago, and so do its weights when it generates: results are
kept, and weights taken in turn, until they fill a pool of some bytes. A small pool stays in cache, a large one cannot.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.adamw import adamw

from isostate.costs.kernels import APART, Kind
from isostate.costs.measured_attention import (
    attention,
    attention_backward,
    masked_attention,
    masked_attention_backward,
    own_attention,
    own_attention_backward,
    own_call,
    own_call_backward,
    own_window_attention,
    own_window_attention_backward,
)
from isostate.costs.measured_engine import own_engine, own_engine_backward
from isostate.costs.pools import Work, chain, fresh, others
from isostate.mixers import scan
from isostate.mixers.native import Kernels


class Measured(NamedTuple):
    """Sizes of each axis, and what runs one size: the work, and how many units (matrices, heads) a run has.

    `pooled`: `prepare` takes a pool's bytes first, since the time depends on how long ago its memory was used.
    """

    axes: tuple[tuple[int, ...], ...]
    prepare: Callable[..., tuple[Work, int]]
    pooled: bool = True


def _matmul(pool: int, rows: int, inner: int, columns: int) -> tuple[Work, int]:
    x, weights = torch.ones(rows, inner), others(pool, columns, inner)
    return fresh(lambda: torch.mm(x, next(weights).t()), pool, rows * columns), 1


def _batched_matmul(pool: int, rows: int, inner: int, columns: int) -> tuple[Work, int]:
    n_matrices = max(8, min(256, 2**22 // (rows * inner * columns)))
    a, b = torch.ones(n_matrices, rows, inner), torch.ones(n_matrices, inner, columns)
    return fresh(lambda: torch.bmm(a, b), pool, n_matrices * rows * columns), n_matrices


def _query_scores(pool: int, size: int, keys: int) -> tuple[Work, int]:
    n_heads = max(4, min(64, 2**18 // (size * keys)))
    q, all_keys = torch.ones(n_heads, 1, size), others(pool, n_heads, keys, size)
    return fresh(lambda: torch.bmm(q, next(all_keys).mT), pool, n_heads * keys), n_heads


def _map(pool: int, n: int) -> tuple[Work, int]:
    factor = torch.ones(())
    return chain(lambda x: x * factor, pool, torch.ones(n)), 1


def _copy(pool: int, n: int) -> tuple[Work, int]:
    return chain(lambda x: torch.cat([x]), pool, torch.ones(n)), 1


def _map_of_saved(pool: int, n: int) -> tuple[Work, int]:
    lately = others(pool, n)
    return chain(lambda x: x * next(lately), pool, torch.ones(n)), 1


def _update(n: int) -> tuple[Work, int]:
    x, y = torch.ones(n), torch.ones(n)
    return lambda: x.mul_(y), 1


def _strided(pool: int, rows: int, length: int) -> tuple[Work, int]:
    """Heads of a projection times a table by position, as rotary's."""
    positions = max(1, rows // 4)
    x, table = torch.ones(1, positions, 4, length).transpose(1, 2), torch.ones(positions, length)
    return fresh(lambda: x * table, pool, x.numel()), 1


def _transpose(pool: int, rows: int, length: int) -> tuple[Work, int]:
    x = torch.ones(max(1, rows // 64), min(rows, 64), length)
    return fresh(lambda: x.mT.contiguous(), pool, x.numel()), 1


def _sum_columns(rows: int, length: int) -> tuple[Work, int]:
    x = torch.ones(rows, length)
    return lambda: x.sum(0), 1


KEYS, MONOMIALS = 8, 36  # of degree 2


def _gather(pool: int, rows: int, length: int) -> tuple[Work, int]:
    n_matrices = max(1, rows // MONOMIALS)
    x, index = torch.ones(n_matrices, KEYS, length), torch.arange(min(rows, MONOMIALS)) % KEYS
    return fresh(lambda: x.index_select(-2, index), pool, rows * length), 1


def _scatter(rows: int, length: int) -> tuple[Work, int]:
    n_matrices = max(1, rows // MONOMIALS)
    index = torch.arange(min(rows, MONOMIALS)) % KEYS
    x, added = torch.ones(n_matrices, KEYS, length), torch.ones(n_matrices, len(index), length)
    return lambda: x.index_add_(-2, index, added), 1


def _from_one(pool: int, n: int, make: Callable[[Tensor], Tensor]) -> tuple[Work, int]:
    """A new tensor from one that was just written, by a function with an exponential."""
    x = torch.linspace(-2, 2, n)
    return fresh(lambda: make(x), pool, n), 1


def _gradient(pool: int, n: int, make: Callable[[Tensor, Tensor], Tensor]) -> tuple[Work, int]:
    grad, lately = torch.linspace(-2, 2, n), others(pool, n)
    return fresh(lambda: make(grad, next(lately)), pool, n), 1


def _exp(n: int) -> tuple[Work, int]:
    x = torch.full((n,), -1e-9)
    return lambda: x.exp_().neg_(), 1


def _by_rows(pool: int, rows: int, length: int, make: Callable[[Tensor], Tensor]) -> tuple[Work, int]:
    x = torch.linspace(-2, 2, rows * length).view(rows, length)
    return fresh(lambda: make(x), pool, rows * length), 1


def _softmax_backward(pool: int, rows: int, length: int) -> tuple[Work, int]:
    y = torch.linspace(-2, 2, rows * length).view(rows, length).softmax(-1)
    return fresh(lambda: torch.ops.aten._softmax_backward_data(y, y, -1, torch.float32), pool, y.numel()), 1


def _layer_norm_backward(pool: int, rows: int, length: int) -> tuple[Work, int]:
    x, gain, bias = torch.randn(rows, length), torch.ones(length), torch.zeros(length)
    y, mean, deviation = torch.ops.aten.native_layer_norm(x, [length], gain, bias, 1e-5)
    back, wanted = torch.ops.aten.native_layer_norm_backward, [True, True, True]
    return fresh(lambda: back(y, x, [length], mean, deviation, gain, bias, wanted)[0], pool, rows * length), 1


def _transform(pool: int, rows: int, length: int) -> tuple[Work, int]:
    x = torch.ones(rows, length)
    return fresh(lambda: torch.view_as_real(torch.fft.rfft(x)), pool, rows * (length + 2)), 1


def _scan_inputs(elements: int, states: int) -> list[Tensor]:
    """x, dt, A, B, C, D and a state, of at most 256 channels, two sequences' where there are more elements."""
    batch, channels = (2, 128) if elements >= 256 else (1, elements)
    positions = elements // (batch * channels)
    x, dt = (torch.full((batch, positions, channels), 0.1) for _ in range(2))
    writes, reads = (torch.full((batch, positions, states), 0.1) for _ in range(2))
    rest = [torch.ones(channels), torch.zeros(batch, channels, states)]
    return [x, dt, -torch.ones(channels, states), writes, reads, *rest]


def _scan(pool: int, elements: int, states: int) -> tuple[Work, int]:
    inputs = _scan_inputs(elements, states)
    return fresh(lambda: scan.chunked(*inputs)[0], pool, elements), 1


def _scan_backward(pool: int, elements: int, states: int) -> tuple[Work, int]:
    inputs = [x.requires_grad_() for x in _scan_inputs(elements, states)]
    y, _ = scan.chunked(*inputs)
    grad = torch.ones_like(y)
    return fresh(lambda: torch.autograd.grad(y, inputs[:6], grad, retain_graph=True)[0], pool, elements), 1


def _adamw(n: int) -> tuple[Work, int]:
    weights, grads, first, second = (torch.ones(n) for _ in range(4))
    lists: tuple[Any, ...] = ([weights], [grads], [first], [second], [], [torch.ones(())])
    options: dict[str, Any] = {"fused": True, "amsgrad": False, "maximize": False}
    options |= {"beta1": 0.9, "beta2": 0.99, "lr": 1e-3, "weight_decay": 0.1, "eps": 1e-8}
    return lambda: adamw(*lists, **options), 1


SIZES = (2**4, 2**10, 2**14, 2**17, 2**19, 2**21, 2**23)
ROWS, LENGTHS = (2**4, 2**9, 2**14, 2**17), (4, 32, 256)
POSITIONS, HEAD_SIZES = (16, 64, 128, 256, 1024), (8, 16, 32, 128)
BANDS = (32, 256, 1024), (16, 64, 256), (8, 32, 128)  # positions, window, head size
ENGINES = (1, 2, 4), (8, 16, 32, 64), (64, 256, 1024)  # degree, head size, positions

MEASURED: dict[Kind, Measured] = {
    "matmul": Measured(((1, 8, 64, 512, 4096), (16, 64, 256, 1024, 4096), (16, 64, 256, 1024)), _matmul),
    "batched matmul": Measured(((1, 8, 32, 128, 512), (8, 32, 128, 512), (5, 9, 17, 33, 64, 256)), _batched_matmul),
    "query scores": Measured(((8, 32, 128), (16, 128, 1024)), _query_scores),
    "attention": Measured((POSITIONS, HEAD_SIZES), attention),
    "attention backward": Measured((POSITIONS, HEAD_SIZES), attention_backward),
    "masked attention": Measured(((16, 64, 512), POSITIONS, HEAD_SIZES), masked_attention),
    "masked attention backward": Measured(((16, 64, 512), POSITIONS, HEAD_SIZES), masked_attention_backward),
    "own attention": Measured((POSITIONS, HEAD_SIZES), own_attention, pooled=False),
    "own attention backward": Measured((POSITIONS, HEAD_SIZES), own_attention_backward, pooled=False),
    "own window attention": Measured(BANDS, own_window_attention, pooled=False),
    "own window attention backward": Measured(BANDS, own_window_attention_backward, pooled=False),
    "own engine": Measured(ENGINES, own_engine, pooled=False),
    "own engine backward": Measured(ENGINES, own_engine_backward, pooled=False),
    "own call": Measured((), own_call, pooled=False),
    "own call backward": Measured((), own_call_backward, pooled=False),
    "map": Measured((SIZES,), _map),
    "map of saved": Measured((SIZES,), _map_of_saved),
    "update": Measured((SIZES,), _update, pooled=False),
    "copy": Measured((SIZES,), _copy),
    "strided": Measured((ROWS, LENGTHS), _strided),
    "transpose": Measured((ROWS, LENGTHS), _transpose),
    "sum rows": Measured((SIZES,), lambda pool, n: _by_rows(pool, -(-n // 128), min(n, 128), lambda x: x.sum(-1))),
    "sum columns": Measured((ROWS, LENGTHS), _sum_columns, pooled=False),
    "gather": Measured((ROWS, (1, *LENGTHS)), _gather),
    "scatter": Measured((ROWS, (1, *LENGTHS)), _scatter, pooled=False),
    "silu": Measured((SIZES,), lambda pool, n: _from_one(pool, n, F.silu)),
    "silu backward": Measured((SIZES,), lambda pool, n: _gradient(pool, n, torch.ops.aten.silu_backward)),
    "gelu": Measured((SIZES,), lambda pool, n: _from_one(pool, n, F.gelu)),
    "gelu backward": Measured((SIZES,), lambda pool, n: _gradient(pool, n, torch.ops.aten.gelu_backward)),
    "exp": Measured((SIZES,), _exp, pooled=False),
    "dropout": Measured((SIZES,), lambda pool, n: _from_one(pool, n, lambda x: F.dropout(x, 0.1, True))),
    "layer norm": Measured((ROWS, LENGTHS), lambda pool, r, n: _by_rows(pool, r, n, lambda x: F.layer_norm(x, [n]))),
    "layer norm backward": Measured((ROWS, LENGTHS), _layer_norm_backward),
    "softmax": Measured((ROWS, LENGTHS), lambda pool, r, n: _by_rows(pool, r, n, lambda x: x.softmax(-1))),
    "softmax backward": Measured((ROWS, LENGTHS), _softmax_backward),
    "log softmax": Measured(
        ((16, 256, 2**11), (64, 1024, 2**14)), lambda pool, r, n: _by_rows(pool, r, n, lambda x: x.log_softmax(-1))
    ),
    "transform": Measured((ROWS, (16, 128, 512)), _transform),
    "scan": Measured(((2**8, 2**12, 2**16, 2**19), (1, 16, 128)), _scan),
    "scan backward": Measured(((2**8, 2**12, 2**16, 2**19), (1, 16, 128)), _scan_backward),
    "adamw": Measured((SIZES,), _adamw, pooled=False),
}


def matmul_in_pool(pool: int) -> Work:
    """One row times a matrix of 256 by 768, the next of those that fill the pool: what generation does."""
    x, weights = torch.ones(1, 256), itertools.cycle([torch.ones(768, 256) for _ in range(pool // (768 * 256 * 4))])
    return lambda: torch.mm(x, next(weights).t())


def kinds_of(kernels: Kernels) -> list[Kind]:
    """Those that a machine runs, by our own kernels or by torch's alone."""
    left_out = APART["torch" if kernels == "own" else "own"]
    return [kind for kind in MEASURED if kind not in left_out]
