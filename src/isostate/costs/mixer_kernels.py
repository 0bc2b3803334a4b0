"""The kernels of a mixer in the chunked form: projections, positions, attention in blocks; forward and backward.

Written from `mixers/projections.py`, `softmax.py` and `window.py`; `engine_kernels.py` has the linear family's,
`mamba2_kernels.py` Mamba-2's. With the calls beside them, kernels are as many as the operations that torch dispatches.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isostate.config import UserError
from isostate.costs.engine_kernels import engine_kernels
from isostate.costs.kernels import APART, FLOAT32_BYTES, Kernel, Part, calls
from isostate.costs.mamba2_kernels import mamba2_passes
from isostate.costs.mamba_kernels import mamba_passes
from isostate.costs.own_engine_kernels import own_engine_kernels
from isostate.costs.passes import Pass, linear, rms_norm
from isostate.costs.s4_kernels import s4_passes
from isostate.costs.tape.attention_kernel import runs_attention
from isostate.costs.tape.engine_kernel import runs_engine
from isostate.mixers import MixerConfig
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.native import Kernels
from isostate.mixers.projections import QKVConfig
from isostate.mixers.scores import BLOCK
from isostate.mixers.softmax import AttentionConfig, SoftmaxConfig
from isostate.mixers.window import WindowConfig, block_size


def mixer_parts(
    mixer: MixerConfig, batch: int, context: int, kernels: Kernels
) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Forward and backward of one layer's mixer, from an empty state. Raises UserError for one not written down."""
    if mixer.kind not in MIXER_PASSES:
        raise UserError(f"mixer {mixer.kind!r}: its kernels are not written down, so its time cannot be predicted")
    if isinstance(mixer, AttentionConfig) and mixer.attention_dropout:
        raise UserError("attention_dropout: torch then leaves its fused kernel, and no time is predicted; set it to 0")
    passes = MIXER_PASSES[mixer.kind](mixer, batch, context, kernels)
    return (
        tuple(Part(name, one.forward) for name, one in passes.items()),
        tuple(Part(f"{name} backward", one.backward) for name, one in passes.items()),
    )


def heads(mixer: QKVConfig, n_tokens: int) -> Pass:
    """From the projection to queries, keys and values by head, and back: views, QK-norm, rotary positions."""
    size = mixer.head_dim
    forward = [*calls(9)]
    backward = [Kernel("copy", (n_tokens * sum(mixer.widths),)), *calls(9)]
    for n_heads in (mixer.n_heads, mixer.n_key_heads):
        n_rows, n_elements = n_tokens * n_heads, n_tokens * n_heads * size
        if mixer.qk_norm == "rms":
            norm = rms_norm(n_rows, size)
            forward += [Kernel("strided", (n_rows, size)), *norm.forward]
            backward += [Kernel("strided", (n_rows, size)), *norm.backward]
        if mixer.positions == "rotary":
            half, whole = Kernel("strided", (n_rows, size // 2)), Kernel("strided", (n_rows, size), 2)
            forward += [half, whole, Kernel("map", (n_elements,), 2), *calls(1)]
            backward += [half, whole, Kernel("strided", (n_rows, size)), Kernel("update", (n_elements,), 2), *calls(1)]
    return Pass(tuple(forward), tuple(backward))


def _around(mixer: QKVConfig, n_tokens: int, mixing: Pass) -> dict[str, Pass]:
    """`mixing`, queries, keys and values to readings, between what all such mixers have."""
    return {
        "projection in": linear(n_tokens, mixer.d_model, sum(mixer.widths), mixer.bias != "none"),
        "heads": heads(mixer, n_tokens),
        "mixing": mixing,
        "projection out": linear(n_tokens, mixer.widths[0], mixer.d_model, mixer.bias == "all"),
    }


def _of_softmax(mixer: SoftmaxConfig, batch: int, context: int, kernels: Kernels) -> dict[str, Pass]:
    if runs_attention(mixer, kernels, FLOAT32_BYTES):
        return _around(mixer, batch * context, _own_attention(mixer, batch, context, context))
    mixing = _dense if mixer.score_cap else _softmax_blocks if mixer.positions == "alibi" else _softmax
    return _around(mixer, batch * context, mixing(mixer, batch, context))


def _of_window(mixer: WindowConfig, batch: int, context: int, kernels: Kernels) -> dict[str, Pass]:
    if runs_attention(mixer, kernels, FLOAT32_BYTES):
        return _around(mixer, batch * context, _own_attention(mixer, batch, context, mixer.window))
    mixing = _dense if context <= 2 * block_size(mixer.window) + mixer.sinks else _window_blocks
    return _around(mixer, batch * context, mixing(mixer, batch, context))


def _of_linear_family(mixer: LinearFamilyConfig, batch: int, context: int, kernels: Kernels) -> dict[str, Pass]:
    if runs_engine(kernels, FLOAT32_BYTES):
        return _around(mixer, batch * context, own_engine_kernels(mixer, batch, context))
    return _around(mixer, batch * context, Pass(*engine_kernels(mixer, batch, context)))


# A row a kind: (config, batch, context, whose kernels) -> what one layer runs, by name.
MIXER_PASSES: dict[str, Callable[[Any, int, int, Kernels], dict[str, Pass]]] = {
    "softmax": _of_softmax,
    "window": _of_window,
    "linear": _of_linear_family,
    "taylor": _of_linear_family,
    "power": _of_linear_family,
    "mamba2": mamba2_passes,
    "mamba": mamba_passes,
    "s4": s4_passes,
}


def _repeated_heads(mixer: AttentionConfig, n_tokens: int) -> Pass:
    """Keys and values once for each query head of their group."""
    if mixer.n_kv_heads == mixer.n_heads:
        return Pass((), ())
    rows = (n_tokens * mixer.n_heads, mixer.head_dim)
    return Pass((Kernel("strided", rows, 2), *calls(6)), (Kernel("sum columns", rows, 2), *calls(2)))


def _own_attention(mixer: AttentionConfig, batch: int, context: int, window: int) -> Pass:
    """One call of our kernel; ALiBi costs it nothing, and heads of a group share what it packs."""
    n_heads = batch * mixer.n_heads
    if window >= context:
        forward, backward = (Kernel(kind, (context, mixer.head_dim), units=n_heads) for kind in APART["own"][:2])
    else:
        shape = (context, window, mixer.head_dim)
        forward, backward = (Kernel(kind, shape, units=n_heads) for kind in APART["own"][2:4])
    n_views = 6 if isinstance(mixer, WindowConfig) else 2  # the state's
    return Pass((forward, Kernel("own call"), *calls(n_views)), (backward, Kernel("own call backward"), *calls(5)))


def _softmax(mixer: SoftmaxConfig, batch: int, context: int) -> Pass:
    """One call of the fused kernel."""
    shape, n_heads = (context, mixer.head_dim), batch * mixer.n_heads
    repeats = _repeated_heads(mixer, batch * context)
    return Pass(
        (*repeats.forward, Kernel("attention", shape, units=n_heads), *calls(4)),
        (Kernel("attention backward", shape, units=n_heads), *repeats.backward, *calls(4)),
    )


def _bias(mixer: AttentionConfig, queries: int, keys: int) -> tuple[Kernel, ...]:
    """`causal_bias`: distances in int64, the mask, and slopes by head where positions are ALiBi."""
    per_head = mixer.n_heads if mixer.positions == "alibi" else 1
    n_pairs = queries * keys
    within = 2 if isinstance(mixer, WindowConfig) else 0
    return (
        Kernel("map", (2 * n_pairs,)),
        Kernel("map", (n_pairs,), 2 + within),
        Kernel("map", (per_head * n_pairs,), 2 if per_head > 1 else 1),
    )


def _softmax_blocks(mixer: SoftmaxConfig, batch: int, context: int) -> Pass:
    """Blocks of queries against their past, with a bias; then joined."""
    n_heads, size = batch * mixer.n_heads, mixer.head_dim
    repeats = _repeated_heads(mixer, batch * context)
    forward, backward = [*repeats.forward], [*repeats.backward, *calls(4)]
    whole = n_heads * context * size
    for start in range(0, context, BLOCK):
        stop = min(start + BLOCK, context)
        shape = (stop - start, stop, size)
        forward += [*_bias(mixer, stop - start, stop), Kernel("masked attention", shape, units=n_heads), *calls(12)]
        backward += [Kernel("masked attention backward", shape, units=n_heads), *calls(1)]
        if context > BLOCK:  # parts of queries, keys and values give their gradients back as wholes, added up
            backward += [Kernel("update", (whole,), 6 if start else 3), *calls(6)]
            backward += [Kernel("copy", (n_heads * (2 * stop + stop - start) * size,))]
    return Pass((*forward, Kernel("copy", (whole,)), *calls(3)), tuple(backward))


def _dense(mixer: AttentionConfig, batch: int, context: int) -> Pass:
    """All scores at once."""
    n_heads, size = batch * mixer.n_heads, mixer.head_dim
    repeats = _repeated_heads(mixer, batch * context)
    scores = _scores(n_heads, context, context, size, mixer.score_cap is not None)
    rows = (n_heads * context, size)
    forward = (Kernel("strided", rows, 4), *_bias(mixer, context, context), *scores.forward, *calls(20))
    backward = (*scores.backward, Kernel("strided", rows, 2), Kernel("map", (n_heads * context * size,)), *calls(11))
    return Pass((*repeats.forward, *forward), (*backward, *repeats.backward))


def _window_blocks(mixer: WindowConfig, batch: int, context: int) -> Pass:
    """Blocks that attend to themselves and to the block before: padded, keys and values twice over."""
    n_heads, size, block = batch * mixer.n_heads, mixer.head_dim, block_size(mixer.window)
    n_blocks = -(-context // block)
    rows, one = (n_heads * context, size), n_heads * n_blocks * block * size
    padded = n_heads * (n_blocks + 1) * block * size
    keys = 2 * block + mixer.sinks
    bias = (mixer.n_heads if mixer.positions == "alibi" else 1) * keys * block
    repeats = _repeated_heads(mixer, batch * context)
    scores = _scores(n_heads * n_blocks, block, keys, size, mixer.score_cap is not None)
    forward = (
        Kernel("strided", rows, 4),  # keys and values joined with the remembered; scaled queries; back from heads
        *repeats.forward,
        Kernel("copy", (padded,), 2),
        Kernel("copy", (2 * one + n_heads * n_blocks * mixer.sinks * size,), 2),
        Kernel("copy", (one,)),
        *_bias(mixer, block, 2 * block),
        Kernel("copy", (bias * n_blocks,), 1 + 2 * (mixer.sinks > 0)),
        *scores.forward,
        *calls(36 + 16 * (mixer.sinks > 0)),
    )
    backward = (
        *scores.backward,
        Kernel("update", (padded,), 4),  # keys and values, each as the own block's and the next one's
        Kernel("copy", (one,), 4),
        Kernel("map", (padded,), 2),
        Kernel("strided", rows, 4),
        Kernel("map", (n_heads * context * size,)),
        *repeats.backward,
        *calls(26 + 16 * (mixer.sinks > 0)),
    )
    return Pass(forward, backward)


def _scores(n_matrices: int, queries: int, keys: int, size: int, capped: bool) -> Pass:
    """Scores, capped or not, a bias, softmax, and the values they weigh."""
    rows, n_scores = (n_matrices * queries, keys), n_matrices * queries * keys
    into = Kernel("batched matmul", (queries, size, keys), units=n_matrices)
    out = Kernel("batched matmul", (queries, keys, size), units=n_matrices)
    other = Kernel("batched matmul", (keys, queries, size), 2, n_matrices)  # gradients of keys and of values
    return Pass(
        (into, Kernel("map", (n_scores,), 3 if capped else 1), Kernel("softmax", rows), out),
        (into, Kernel("softmax backward", rows), *([Kernel("map", (n_scores,), 2)] if capped else []), out, other),
    )
