"""The kernels of a mixer in the chunked form: projections, positions, attention in blocks; forward and backward.

Written from `mixers/projections.py`, `softmax.py` and `window.py`; `engine_kernels.py` has the linear family's. With
the calls beside them, kernels are as many as the operations that torch dispatches.
"""

from __future__ import annotations

from typing import NamedTuple

from isostate.config import UserError
from isostate.costs.engine_kernels import engine_kernels
from isostate.costs.kernels import Kernel, Part, calls
from isostate.mixers import MixerConfig
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.softmax import BLOCK, AttentionConfig, SoftmaxConfig
from isostate.mixers.window import WindowConfig, block_size


class Pass(NamedTuple):
    """What the forward runs, and the backward."""

    forward: tuple[Kernel, ...]
    backward: tuple[Kernel, ...]


def mixer_parts(mixer: MixerConfig, batch: int, context: int) -> tuple[tuple[Part, ...], tuple[Part, ...]]:
    """Forward and backward of one layer's mixer, from an empty state. Raises UserError for one not written here."""
    n_tokens, wide = batch * context, mixer.n_heads * mixer.head_dim
    passes = {
        "projection in": linear(n_tokens, mixer.d_model, projected_width(mixer), mixer.bias != "none"),
        "heads": heads(mixer, n_tokens),
        "mixing": _mixing(mixer, batch, context),
        "projection out": linear(n_tokens, wide, mixer.d_model, mixer.bias == "all"),
    }
    return (
        tuple(Part(name, one.forward) for name, one in passes.items()),
        tuple(Part(f"{name} backward", one.backward) for name, one in passes.items()),
    )


def kv_heads(mixer: MixerConfig) -> int:
    return mixer.n_kv_heads if isinstance(mixer, AttentionConfig) else mixer.n_heads


def projected_width(mixer: MixerConfig) -> int:
    """Queries, keys, values and gates, from one matrix."""
    gates = mixer.n_heads if isinstance(mixer, LinearFamilyConfig) and mixer.gate == "head" else 0
    return (mixer.n_heads + 2 * kv_heads(mixer)) * mixer.head_dim + gates


def linear(n_tokens: int, width_in: int, width_out: int, bias: bool = False) -> Pass:
    """A matrix: one product forward, one for each operand's gradient backward; a bias joins the product."""
    product = Kernel("matmul", (n_tokens, width_in, width_out), weights=True)
    input_gradient = Kernel("matmul", (n_tokens, width_out, width_in), weights=True)
    weight_gradient = Kernel("matmul", (width_out, n_tokens, width_in))
    bias_gradient = (Kernel("sum columns", (n_tokens, width_out)), *calls(1)) if bias else ()
    return Pass((product, *calls(3)), (input_gradient, weight_gradient, *calls(6), *bias_gradient))


def heads(mixer: MixerConfig, n_tokens: int) -> Pass:
    """From the projection to queries, keys and values by head, and back: views, QK-norm, rotary positions."""
    size = mixer.head_dim
    forward = [*calls(9)]
    backward = [Kernel("copy", (n_tokens * projected_width(mixer),)), *calls(9)]
    for n_heads in (mixer.n_heads, kv_heads(mixer)):
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


def rms_norm(n_rows: int, length: int) -> Pass:
    """`mixers/normalisation.py`: the inverse root mean square of each row, then two products."""
    n_elements = n_rows * length
    forward = (
        Kernel("sum rows", (n_elements,)),
        Kernel("map", (n_elements,)),
        Kernel("update", (n_elements,)),
        Kernel("update", (n_rows,), 4),
    )
    backward = (
        Kernel("map of saved", (n_elements,), 2),  # x / rms, and dy times that
        Kernel("sum columns", (n_rows, length)),
        Kernel("map", (n_elements,), 3),
        Kernel("sum rows", (n_elements,)),
        Kernel("update", (n_elements,)),
        Kernel("update", (n_rows,)),
        *calls(1),
    )
    return Pass(forward, backward)


def _mixing(mixer: MixerConfig, batch: int, context: int) -> Pass:
    """Queries, keys and values to readings."""
    if isinstance(mixer, AttentionConfig) and mixer.attention_dropout:
        raise UserError("attention_dropout: torch then leaves its fused kernel, and no time is predicted; set it to 0")
    if isinstance(mixer, SoftmaxConfig):
        return _softmax_blocks(mixer, batch, context) if mixer.positions == "alibi" else _softmax(mixer, batch, context)
    if isinstance(mixer, WindowConfig):
        small = context <= 2 * block_size(mixer.window)
        return _dense(mixer, batch, context) if small else _window_blocks(mixer, batch, context)
    if isinstance(mixer, LinearFamilyConfig):
        return Pass(*engine_kernels(mixer, batch, context))
    raise UserError(f"mixer {mixer.kind!r}: its kernels are not written down, so its time cannot be predicted")


def _repeated_heads(mixer: AttentionConfig, n_tokens: int) -> Pass:
    """Keys and values once for each query head of their group."""
    if mixer.n_kv_heads == mixer.n_heads:
        return Pass((), ())
    rows = (n_tokens * mixer.n_heads, mixer.head_dim)
    return Pass((Kernel("strided", rows, 2), *calls(6)), (Kernel("sum columns", rows, 2), *calls(2)))


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


def _dense(mixer: WindowConfig, batch: int, context: int) -> Pass:
    """All scores at once."""
    n_heads, size = batch * mixer.n_heads, mixer.head_dim
    repeats = _repeated_heads(mixer, batch * context)
    scores = _scores(n_heads, context, context, size)
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
    bias = (mixer.n_heads if mixer.positions == "alibi" else 1) * 2 * block * block
    repeats = _repeated_heads(mixer, batch * context)
    scores = _scores(n_heads * n_blocks, block, 2 * block, size)
    forward = (
        Kernel("strided", rows, 4),  # keys and values joined with the remembered; scaled queries; back from heads
        *repeats.forward,
        Kernel("copy", (padded,), 2),
        Kernel("copy", (2 * one,), 2),
        Kernel("copy", (one,)),
        *_bias(mixer, block, 2 * block),
        Kernel("copy", (bias * n_blocks,)),
        *scores.forward,
        *calls(36),
    )
    backward = (
        *scores.backward,
        Kernel("update", (padded,), 4),  # keys and values, each as the own block's and the next one's
        Kernel("copy", (one,), 4),
        Kernel("map", (padded,), 2),
        Kernel("strided", rows, 4),
        Kernel("map", (n_heads * context * size,)),
        *repeats.backward,
        *calls(26),
    )
    return Pass(forward, backward)


def _scores(n_matrices: int, queries: int, keys: int, size: int) -> Pass:
    """Scores, a bias, softmax, and the values they weigh."""
    rows, n_scores = (n_matrices * queries, keys), n_matrices * queries * keys
    into = Kernel("batched matmul", (queries, size, keys), units=n_matrices)
    out = Kernel("batched matmul", (queries, keys, size), units=n_matrices)
    other = Kernel("batched matmul", (keys, queries, size), 2, n_matrices)  # gradients of keys and of values
    return Pass(
        (into, Kernel("map", (n_scores,)), Kernel("softmax", rows), out),
        (into, Kernel("softmax backward", rows), out, other),
    )
