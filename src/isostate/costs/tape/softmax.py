"""Softmax attention on a tape, from the empty cache: the forms of `mixers/softmax.py`."""

from __future__ import annotations

from collections.abc import Callable

from isostate.costs.tape.attention_kernel import attention, runs_attention
from isostate.costs.tape.operations import joined, sliced
from isostate.costs.tape.projections import Heads, Read, by_head, per_query_head, projected
from isostate.costs.tape.scores import causal_bias, dense, fused, unfused
from isostate.costs.tape.tape import PART, Storage, Tape, Value
from isostate.mixers import Form
from isostate.mixers import softmax as mixer
from isostate.mixers.softmax import SoftmaxConfig


def softmax(
    tape: Tape, config: SoftmaxConfig, x: Value, batch: int, context: int, form: Form
) -> tuple[Value, list[Storage]]:
    """The mixer's output, and the storages of its state."""
    heads = Heads(batch, context, config.n_heads, config.n_kv_heads, config.head_dim)

    def attend(tape: Tape, q: Value, k: Value, v: Value, gate: Value) -> Read:
        state = [tape.also(k).storage, tape.also(v).storage]
        if form == "parallel" or config.score_cap is not None:
            return Read(dense(tape, config, q, k, v, heads, context, window=False), heads.H == 1, state)
        if runs_attention(config, tape.kernels, tape.element_bytes):
            return Read(attention(tape, q, k, v, heads), True, state)
        k, v = per_query_head(tape, k, heads, "keys"), per_query_head(tape, v, heads, "values")
        kernel = unfused if config.attention_dropout else fused
        if config.positions == "alibi":
            y = _in_blocks(tape, kernel, q, k, v, heads)
        else:
            y = kernel(tape, q, k, v, heads, context)
        in_tokens = heads.H == 1 or (kernel is fused and config.positions != "alibi")
        tape.free(k, v)
        return Read(y, in_tokens, state)

    return projected(tape, config, x, heads, 0, attend)


def backward_flops(config: SoftmaxConfig, forward: int, batch: int, context: int, form: Form) -> int:
    """The fused kernel makes its scores again."""
    fused = form == "chunked" and not config.attention_dropout and config.score_cap is None
    return 5 * forward // 2 if fused else 2 * forward


def _in_blocks(tape: Tape, kernel: Callable[..., Value], q: Value, k: Value, v: Value, heads: Heads) -> Value:
    """Blocks of queries with ALiBi's bias, each against its past alone, joined."""
    blocks: list[Value] = []
    bias: Storage | None = None
    for start in range(0, heads.T, mixer.BLOCK):
        stop = min(start + mixer.BLOCK, heads.T)
        before, bias = bias, causal_bias(tape, stop - start, stop, heads.H, window=False)
        tape.free(*([before] if before else []))
        parts = [
            _positions(tape, q, stop - start, heads),
            _positions(tape, k, stop, heads),
            _positions(tape, v, stop, heads),
        ]
        blocks.append(kernel(tape, *parts, heads, stop, bias))
        tape.free(*parts)
    y = joined(tape, blocks, "what attention read, blocks joined", PART if len(blocks) > 1 and heads.B > 1 else None)
    tape.free(*blocks, *([bias] if bias else []))
    return y


def _positions(tape: Tape, x: Value, length: int, heads: Heads) -> Value:
    """The positions that a block sees."""
    size = heads.B * heads.H * heads.K * length
    return tape.also(x) if size == x.size else sliced(tape, x, size, by_head(heads.T, heads.H, heads.K))
