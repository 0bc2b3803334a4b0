"""The chunked form's kernel for CPUs, `engine.cpp`, as one differentiable function; `recurrence.py` has the equations.

Saved for backward: q, k, v, log gates, the states between chunks (that before the first only if it was given), and of
each position y and what it was divided by; y not where nothing was divided by and no gate learns. Scratch is a few
chunks a thread (`scratch_elements`); gradients take one state a head (`Shares.segments` of them where heads are few).
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import comb
from typing import NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from isostate.mixers import native
from isostate.mixers.feature_maps import PolynomialMap, _factors

SOURCE = "engine.cpp"
CHUNKS = (32, 64, 128, 256, 512)
BLOCK = 16  # positions of a block of pairs
WORK_NS = (0.0219, 2.05, 0.018, 0.482, 1.32, 5940.0)  # of a core, for each of Work
PAST_THE_END = 16  # elements that vectors may read beyond states: one vector


def serves(*x: Tensor | None) -> bool:
    """Whether the kernel runs such tensors, so that torch need not."""
    given = [one for one in x if one is not None]
    like = given[0]
    alike = all(one.dtype == like.dtype and one.device == like.device for one in given)
    return alike and like.numel() > 0 and native.serves(SOURCE, *given)


def chunked(
    q_BGTK: Tensor,
    k_BGTK: Tensor,
    v_BHTV: Tensor,
    log_gate_BHT: Tensor | None,
    matrix_BHPV: Tensor,
    normaliser_BHP: Tensor | None,
    feature_map: PolynomialMap,
    chunk: int,
) -> tuple[Tensor, Tensor, Tensor | None]:
    """y_BHTV and the state after it. H / G heads share queries and keys; log gates broadcast. Ask `serves` first."""
    return _Engine.apply(q_BGTK, k_BGTK, v_BHTV, log_gate_BHT, matrix_BHPV, normaliser_BHP, feature_map, chunk)


class Work(NamedTuple):
    """What one position of one head costs, forward and backward, as far as the chunk's length decides it."""

    pair_products: float  # multiply-adds between positions of a chunk; blocks on the diagonal are whole
    pairs: float
    state_products: float  # multiply-adds with the state: 6, but the empty one is not read, nor the last one's gradient
    monomials: float
    states: float  # elements of the states that chunks leave
    chunks: float

    @staticmethod
    def of(feature_map: PolynomialMap, value_size: int, context: int, chunk: int) -> Work:
        P, K, V = feature_map.expanded_size, feature_map.head_dim, value_size
        n_chunks, seen = -(-context // chunk), (chunk + BLOCK) / 2
        used = (6 * n_chunks - 4) / n_chunks
        return Work(seen * (4 * K + 3 * V), seen, used * P * V, used * P, P * V / chunk, 1 / chunk)


def best_chunk(feature_map: PolynomialMap, value_size: int, context: int) -> int:
    """The positions of a chunk for which the kernel should take least time; the value counts a normaliser's column.

    Nanoseconds fitted to one machine (benchmarks/chunk_rule.py): they only have to rank the choices.
    """

    def position_ns(chunk: int) -> float:
        work = Work.of(feature_map, value_size, context, chunk)
        return sum(amount * ns for amount, ns in zip(work, WORK_NS, strict=True))

    return min((min(chunk, context) for chunk in CHUNKS), key=position_ns)


@dataclass(frozen=True)
class Shares:
    """How heads and chunks are divided among threads: tasks are sequences x groups x parts x segments."""

    parts: int  # of the heads of a group
    segments: int  # of the chunks, where heads are fewer than threads

    @staticmethod
    def of(rows: int, heads_of_group: int, n_chunks: int, threads: int) -> Shares:
        divisors = [n for n in range(1, heads_of_group + 1) if heads_of_group % n == 0]
        even = [n for n in divisors if rows * n % threads == 0 or rows * n >= 4 * threads]
        parts = even[0] if even else heads_of_group
        return Shares(parts, min(n_chunks, -(-threads // (rows * parts))))


class _Engine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, q_BGTK, k_BGTK, v_BHTV, log_gate_BHT, matrix_BHPV, normaliser_BHP, feature_map, chunk):
        q_BGTK, k_BGTK, v_BHTV = (_with_whole_rows(x) for x in (q_BGTK, k_BGTK, v_BHTV))
        start = [x for x in (matrix_BHPV, normaliser_BHP) if x is not None]
        has_start = any(ctx.needs_input_grad[4:6]) or any(bool(x.any()) for x in start)
        call = _Call(q_BGTK, v_BHTV, feature_map, chunk, normaliser_BHP is not None, has_start)
        y_BHTV = _empty_by_position(call.B, call.H, call.T, v_BHTV)
        last = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in start]
        sums_BHT = v_BHTV.new_empty(call.B, call.H, call.T) if call.normalised else None
        states = v_BHTV.new_empty(call.state_elements)
        totals = v_BHTV.new_empty(call.B, call.H, call.n_chunks)
        rows = {"q": q_BGTK, "k": k_BGTK, "v": v_BHTV, "y": y_BHTV, "gate": _by_head(log_gate_BHT, call)}
        call.run(
            "forward",
            rows,
            **dict(zip(("start", "start_sum"), (x.contiguous() for x in start), strict=False)),
            **dict(zip(("last", "last_sum"), last, strict=False)),
            sums=sums_BHT,
            states=states,
            totals=totals,
        )
        y_is_needed = call.normalised or ctx.needs_input_grad[3]
        ctx.save_for_backward(q_BGTK, k_BGTK, v_BHTV, log_gate_BHT, states, y_BHTV if y_is_needed else None, sums_BHT)
        ctx.call = call
        ctx.set_materialize_grads(False)
        return y_BHTV, last[0], last[1] if call.normalised else None

    @staticmethod
    @once_differentiable
    def backward(ctx, dy_BHTV, dmatrix_BHPV, dnormaliser_BHP):
        q_BGTK, k_BGTK, v_BHTV, log_gate_BHT, states, y_BHTV, sums_BHT = ctx.saved_tensors
        call, gates_learn = ctx.call, ctx.needs_input_grad[3]
        dy_BHTV = torch.zeros_like(v_BHTV) if dy_BHTV is None else _with_whole_rows(dy_BHTV)
        if dmatrix_BHPV is None and dnormaliser_BHP is not None:
            dmatrix_BHPV = v_BHTV.new_zeros(call.B, call.H, call.P, call.V)
        parts, segments = call.shares.parts, call.shares.segments
        dq_BGTK, dk_BGTK = (_empty_by_position(parts * call.B, call.G, call.T, q_BGTK) for _ in range(2))
        dv_BHTV = _empty_by_position(call.B, call.H, call.T, v_BHTV)
        dgate_BHT = v_BHTV.new_empty(call.B, call.H, call.T) if gates_learn else None
        dstart = [v_BHTV.new_empty(call.B, call.H, call.P, call.V)] if call.has_start else [None]
        dstart += [v_BHTV.new_empty(call.B, call.H, call.P) if call.has_start and call.normalised else None]
        rows = {"q": q_BGTK, "k": k_BGTK, "v": v_BHTV, "y": y_BHTV, "gate": _by_head(log_gate_BHT, call)}
        rows |= {"dy": dy_BHTV, "dq": dq_BGTK, "dk": dk_BGTK, "dv": dv_BHTV}
        call.run(
            "backward",
            rows,
            sums=sums_BHT,
            states=states,
            totals=v_BHTV.new_ones(segments, call.B, call.H),
            carry=v_BHTV.new_zeros(segments * call.B * call.H * call.state_size + PAST_THE_END),
            dgate=dgate_BHT,
            dlast=None if dmatrix_BHPV is None else dmatrix_BHPV.contiguous(),
            dlast_sum=None if dnormaliser_BHP is None else dnormaliser_BHP.contiguous(),
            dstart=dstart[0],
            dstart_sum=dstart[1],
        )
        if parts > 1:
            dq_BGTK, dk_BGTK = (x.unflatten(0, (parts, call.B)).sum(0) for x in (dq_BGTK, dk_BGTK))
        dlog_gate = None if dgate_BHT is None else dgate_BHT.sum_to_size(log_gate_BHT.shape)
        return dq_BGTK, dk_BGTK, dv_BHTV, dlog_gate, *dstart, None, None


class _Rows(ctypes.Structure):
    """`Rows` of engine_chunk.h: elements from one sequence, head and position to the next."""

    _fields_ = (("at", ctypes.c_void_p), *((name, ctypes.c_int64) for name in ("batch", "head", "position")))


SIZES = ("B", "H", "G", "T", "K", "V", "P", "low", "chunk", "degree", "normalised", "has_start")
SHARES = ("parts", "segments", "threads")
TABLES = ("low_first", "low_rest", "first", "rest", "weights", "coefficients")
ROWS = ("q", "k", "v", "gate", "y", "dy", "dq", "dk", "dv")
FORWARD = ("sums", "states", "start", "start_sum", "last", "last_sum")
BACKWARD = ("dgate", "carry", "dlast", "dlast_sum", "dstart", "dstart_sum")


class _Problem(ctypes.Structure):
    """`Problem` of engine_chunk.h."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in (*SIZES, *SHARES)),
        *((name, ctypes.c_void_p) for name in TABLES),
        *((name, _Rows) for name in ROWS),
        *((name, ctypes.c_void_p) for name in (*FORWARD, *BACKWARD, "scratch", "totals")),
    )


class _Call:
    """The sizes of one call, and the way to the kernel."""

    def __init__(self, q_BGTK, v_BHTV, feature_map, chunk, normalised, has_start) -> None:
        self.B, self.G, self.T, self.K = q_BGTK.shape
        self.H, self.V = v_BHTV.shape[1], v_BHTV.shape[3]
        self.P, self.degree, self.chunk = feature_map.expanded_size, feature_map.degree, min(chunk, self.T)
        self.normalised, self.has_start = normalised, has_start
        self.feature_map, self.dtype = feature_map, v_BHTV.dtype
        self.n_chunks = -(-self.T // self.chunk)
        self.threads = torch.get_num_threads()
        self.shares = Shares.of(self.B * self.G, self.H // self.G, self.n_chunks, self.threads)
        self.low = len(_tables(feature_map, self.dtype)[0])

    @property
    def state_size(self) -> int:
        return self.P * (self.V + self.normalised)

    @property
    def state_elements(self) -> int:
        return self.B * self.H * (self.n_chunks - 1 + self.has_start) * self.state_size + PAST_THE_END

    def run(self, name: str, rows: dict[str, Tensor | None], **x: Tensor | None) -> None:
        problem = _Problem(**{name: int(getattr(self, name)) for name in (*SIZES, "threads")})
        problem.parts, problem.segments = self.shares.parts, self.shares.segments
        for field, table in zip(TABLES, _tables(self.feature_map, self.dtype), strict=True):
            setattr(problem, field, table.data_ptr())
        for field, one in rows.items():
            if one is not None:
                setattr(problem, field, _Rows(one.data_ptr(), *one.stride()[:3]))
        for field, one in x.items():
            setattr(problem, field, None if one is None else one.data_ptr())
        elements = _scratch_elements(problem, self.dtype, name == "backward")
        scratch = torch.empty(self.threads * elements, dtype=self.dtype)
        problem.scratch = scratch.data_ptr()
        _library(self.dtype)[name](ctypes.byref(problem))


def scratch_elements(feature_map: PolynomialMap, value_size: int, chunk: int, dtype: torch.dtype) -> tuple[int, int]:
    """Elements of scratch a thread, forward and backward; values without the normaliser's column."""
    K, low = feature_map.head_dim, len(_tables(feature_map, dtype)[0])
    problem = _Problem(K=K, V=value_size, P=feature_map.expanded_size, low=low, chunk=chunk)
    forward, backward = (_scratch_elements(problem, dtype, is_backward) for is_backward in (False, True))
    return forward, backward


def _scratch_elements(problem: _Problem, dtype: torch.dtype, is_backward: bool) -> int:
    kernel = _library(dtype)
    kernel.scratch_elements.restype = ctypes.c_long
    return kernel.scratch_elements(ctypes.byref(problem), int(is_backward))


def _library(dtype: torch.dtype) -> ctypes.CDLL:
    kernel = native.library(SOURCE, dtype)
    assert kernel is not None, "the caller asks serves() first"
    return kernel


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _tables(feature_map: PolynomialMap, dtype: torch.dtype) -> tuple[Tensor, ...]:
    """As in TABLES. Monomials below the degree are numbered through, 1 first; a variable beyond the last one is 1."""
    K, degree, cpu = feature_map.head_dim, feature_map.degree, torch.device("cpu")
    starts = [0, *accumulate(comb(K + i - 1, i) for i in range(degree + 1))]
    firsts, rests = [torch.tensor([K])], [torch.tensor([0])]
    for i in range(1, degree + 1):
        first, rest = _factors(K, i, cpu)
        firsts.append(first)
        rests.append(rest + starts[i - 1])
    used = feature_map.used_degrees
    chosen = [firsts[:degree] or firsts, rests[:degree] or rests, [firsts[i] for i in used], [rests[i] for i in used]]
    indices = [torch.cat(tables).to(torch.int32) for tables in chosen]
    weights = feature_map.weights_P(torch.empty(0, dtype=torch.float64)).to(dtype)
    return (*indices, weights, torch.tensor(feature_map.coefficients, dtype=torch.float64).to(dtype))


def _by_head(log_gate_BHT: Tensor | None, call: _Call) -> Tensor | None:
    return None if log_gate_BHT is None else log_gate_BHT.expand(call.B, call.H, call.T)


def _with_whole_rows(x_BHTK: Tensor) -> Tensor:
    return x_BHTK if x_BHTK.stride(-1) == 1 or x_BHTK.shape[-1] == 1 else x_BHTK.contiguous()


def _empty_by_position(B: int, H: int, T: int, like_BHTK: Tensor) -> Tensor:
    """x_BHTK with heads innermost but for their elements, so that joining them again copies nothing."""
    return like_BHTK.new_empty(B, T, H, like_BHTK.shape[-1]).transpose(1, 2)
