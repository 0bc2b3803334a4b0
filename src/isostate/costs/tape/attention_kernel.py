"""Attention by our own kernel on a tape: `mixers/fused.py`, and the scratch memory of `attention.cpp`."""

from __future__ import annotations

from isostate.costs.tape.operations import FLOAT32, gradient
from isostate.costs.tape.projections import Heads
from isostate.costs.tape.tape import TURNED, Tape, Value
from isostate.mixers.fused import LARGEST_HEAD
from isostate.mixers.native import Kernels
from isostate.mixers.softmax import AttentionConfig
from isostate.mixers.window import WindowConfig

LINE, VECTOR = 16, 8  # floats in a line of the cache, and in a vector
QUERIES, ROW = 32, 272  # of a tile of scores: rows, and a row's length with what keeps rows apart


def runs_attention(config: AttentionConfig, kernels: Kernels, element_bytes: int) -> bool:
    """Whether the chunked form of softmax and window attention leaves it to the kernel (`fused.fuses`)."""
    plain = not config.attention_dropout and config.score_cap is None and config.head_dim <= LARGEST_HEAD
    sinks = config.sinks if isinstance(config, WindowConfig) else 0
    return kernels == "own" and element_bytes >= FLOAT32 and plain and not sinks


def attention(tape: Tape, q: Value, k: Value, v: Value, heads: Heads) -> Value:
    """The result lies by position."""
    y = tape.value(q.size, "what attention read")
    logsumexp = tape.new(heads.B * heads.T * heads.H, "log of the sums of weights")
    tape.passing(tape.n_threads * scratch_elements(heads.T, heads.K, is_backward=False))
    kept = tape.keep(q.storage, k.storage, v.storage, y.storage, logsumexp)
    tape.free(logsumexp)

    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(y)
        whole_rows = [tape.new(y.size, "gradient, contiguous")] if given.layout == TURNED else []
        arriving = [gradient(tape, x) for x in (q, k, v)]
        tape.passing(tape.n_threads * scratch_elements(heads.T, heads.K, is_backward=True))
        tape.free(*whole_rows)
        tape.done(given, kept)
        for x, fresh in zip((q, k, v), arriving, strict=True):
            tape.arrive(x, fresh)

    tape.node(back)
    return y


def scratch_elements(n_keys: int, head_dim: int, is_backward: bool) -> int:
    """Of a thread, in float32: `room_of` of attention.cpp. Keys and values of a head packed, and a tile of scores."""
    apart = (n_keys + VECTOR + LINE - 1) // LINE // 2 * 2 * LINE + LINE
    padded = -(-head_dim // VECTOR) * VECTOR
    columns, rows = (2, 3) if is_backward else (1, 1)
    return (columns * head_dim + rows * padded) * apart + QUERIES * 2 * (padded + ROW) + 64
