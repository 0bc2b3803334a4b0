"""The kernels of one step of generation: one token a sequence, in the recurrent form, without gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from isostate.costs.kernels import ACTING, FLOAT32_BYTES, Kernel, Part, calls, repeated
from isostate.costs.mamba2_kernels import mamba2_step
from isostate.costs.mamba_kernels import mamba_step
from isostate.costs.passes import rms_norm
from isostate.costs.s4_kernels import s4_step
from isostate.mixers.feature_maps import PolynomialMap
from isostate.mixers.linear import LinearConfig
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.projections import QKVConfig
from isostate.mixers.softmax import AttentionConfig
from isostate.mixers.window import WindowConfig
from isostate.model import ModelConfig
from isostate.model.layers import GATED


def decode_parts(config: ModelConfig, batch: int, context: int) -> tuple[Part, ...]:
    """Logits of the token behind `context` tokens, for each of `batch` sequences."""
    width, taps = config.d_model, config.conv_taps
    norm = _norm(config, batch)
    layer = [
        Part("norms", norm, config.n_norms),
        Part("feed-forward", _mlp(config, batch)),
        Part("residual", (Kernel("map", (batch * width,), 1 if config.mlp == "none" else 2),)),
    ]
    if taps:
        kernels = (Kernel("copy", (batch * taps * width,)), Kernel("update", (batch * width,), taps))
        layer.append(Part("convolution", (*kernels, *calls(2 * taps + 1))))
    layers = [*repeated(layer, config.n_layers)]
    for mixer, times in config.mixer_groups:
        layers += repeated(MIXER_STEPS[mixer.kind](mixer, batch, context), times)
    turning = [
        mixer for mixer, _ in config.mixer_groups if isinstance(mixer, QKVConfig) and mixer.positions == "rotary"
    ]
    sizes = {(mixer.head_dim, mixer.rotary) for mixer in turning}
    positions = calls(13 * len(sizes))  # the new position's angles
    if config.position_embedding != "none":
        positions += (Kernel("map", (batch * width,)), *calls(2 if config.position_embedding == "learned" else 12))
    return (
        Part("embedding", (Kernel("gather", (batch, width)),)),
        *([Part("positions", positions)] if positions else []),
        *layers,
        Part("last norm", norm),
        Part("head", _head(config, batch)),
    )


def repeated_elements(config: ModelConfig, batch: int, context: int) -> int:
    """Keys and values that a layer copies for every query head of their group, and forgets; the most of any layer."""
    grouped = [
        one for one, _ in config.mixer_groups if isinstance(one, AttentionConfig) and one.n_kv_heads < one.n_heads
    ]
    return max((2 * batch * one.n_heads * one.head_dim * _n_keys(one, context) for one in grouped), default=0)


def _n_keys(mixer: AttentionConfig, context: int) -> int:
    return min(context + 1, _most_held(mixer, context))


def _most_held(mixer: AttentionConfig, context: int) -> int:
    return mixer.window + mixer.sinks if isinstance(mixer, WindowConfig) else context + 1


def _norm(config: ModelConfig, batch: int) -> tuple[Kernel, ...]:
    rms = config.norm == "rms"
    return rms_norm(batch, config.d_model).forward if rms else (Kernel("layer norm", (batch, config.d_model)),)


def _head(config: ModelConfig, batch: int) -> tuple[Kernel, ...]:
    logits = (batch * config.vocab_size,)
    cap = (Kernel("map", logits, 2), Kernel("gelu", logits)) if config.logit_cap else ()
    return (*_linear(batch, config.d_model, config.vocab_size), *cap, *calls(1))


def _linear(batch: int, width_in: int, width_out: int) -> tuple[Kernel, ...]:
    return (Kernel("matmul", (batch, width_in, width_out), weights=True), *calls(3))


def _mlp(config: ModelConfig, batch: int) -> tuple[Kernel, ...]:
    if config.mlp == "none":
        return ()
    elements, gated = (batch * config.d_ff,), config.mlp in GATED
    acting: list[Kernel] = [Kernel(ACTING[config.mlp], elements)]
    acting += [Kernel("map", elements), *calls(1)] if gated else []
    acting += [Kernel("map", elements)] if config.mlp == "squared-relu" else []
    into = _linear(batch, config.d_model, (1 + gated) * config.d_ff)
    return (*into, *acting, *_linear(batch, config.d_ff, config.d_model))


def _around(mixer: QKVConfig, batch: int, mixing: tuple[Kernel, ...], state_bytes: int) -> list[Part]:
    """`mixing`, queries, keys and values to readings, between what all such mixers have."""
    return [
        Part("projection in", _linear(batch, mixer.d_model, sum(mixer.widths))),
        Part("heads", _heads(mixer, batch)),
        Part("mixing", mixing, state_bytes=state_bytes),
        Part("projection out", _linear(batch, mixer.widths[0], mixer.d_model)),
    ]


def _heads(mixer: QKVConfig, batch: int) -> tuple[Kernel, ...]:
    kernels = [*calls(9)]
    for n_heads in (mixer.n_heads, mixer.n_key_heads):
        rows = (batch * n_heads, mixer.head_dim)
        if mixer.qk_norm == "rms":
            kernels += [Kernel("strided", rows), *rms_norm(*rows).forward]
        if mixer.positions == "rotary":
            kernels += [Kernel("strided", rows, 3), Kernel("map", (math.prod(rows),), 2), *calls(1)]
    return tuple(kernels)


def _of_attention(mixer: AttentionConfig, batch: int, context: int) -> list[Part]:
    """The cache is read, and the new key and value written."""
    elements = mixer.state_size(context + 1).elements + 2 * mixer.n_kv_heads * mixer.head_dim
    return _around(mixer, batch, _attention(mixer, batch, context), FLOAT32_BYTES * batch * elements)


def _of_linear_family(mixer: LinearFamilyConfig, batch: int, context: int) -> list[Part]:
    """The state is read and written."""
    elements = 2 * mixer.state_size(context + 1).elements
    return _around(mixer, batch, _recurrence(mixer, batch), FLOAT32_BYTES * batch * elements)


def _attention(mixer: AttentionConfig, batch: int, context: int) -> tuple[Kernel, ...]:
    n_heads, size = batch * mixer.n_heads, mixer.head_dim
    joined = batch * mixer.n_kv_heads * min(context, _most_held(mixer, context)) * size
    keys = _n_keys(mixer, context)
    kernels = [Kernel("copy", (joined,), 2), Kernel("copy", (n_heads * size,))]
    if mixer.n_kv_heads < mixer.n_heads:
        kernels += [Kernel("copy", (n_heads * keys * size,), 2), *calls(6)]
    elif isinstance(mixer, WindowConfig) and keys <= context:  # a view without the oldest, which a product copies
        kernels += [Kernel("copy", (n_heads * keys * size,), 2)]
    bias = mixer.n_heads * keys if mixer.positions == "alibi" else keys
    return (
        *kernels,
        Kernel("map", (bias,), 6 if mixer.positions == "alibi" else 4),
        Kernel("map", (n_heads * size,)),
        Kernel("query scores", (size, keys), units=n_heads),
        Kernel("map", (n_heads * keys,), 3 if mixer.score_cap else 1),
        Kernel("softmax", (n_heads, keys)),
        Kernel("batched matmul", (1, keys, size), units=n_heads),
        *calls(21 if mixer.positions == "alibi" else 19),
        *calls(16 if isinstance(mixer, WindowConfig) and mixer.sinks else 0),
    )


def _recurrence(mixer: LinearFamilyConfig, batch: int) -> tuple[Kernel, ...]:
    feature_map, rows = mixer.feature_map, batch * mixer.n_heads
    normalised, decayed = mixer.normaliser == "sum", mixer.gate == "head" or mixer.fixed_decay
    P, K, V = feature_map.expanded_size, mixer.head_dim, mixer.head_dim + normalised
    kernels = [
        *_expanded(feature_map, rows),
        *_expanded(feature_map, rows),
        Kernel("strided", (rows * P, V), 2),  # read by the query; what the key writes
        Kernel("map", (rows * P * V,)),  # added
        Kernel("sum columns", (rows * P, V)),
        Kernel("map", (rows * P,), 2),
        Kernel("map", (rows * V,), 4),
        *calls(18),
    ]
    if normalised:
        kernels += [Kernel("strided", (rows * P, V)), Kernel("map", (rows * V,), 3), *calls(6)]
    if decayed:
        kernels += [Kernel("map", (rows * P * V,)), *calls(8)]
    if isinstance(mixer, LinearConfig) and mixer.phi != "identity":
        kernels += [Kernel("gelu", (rows * K,), 2)]
    if len(feature_map.used_degrees) > 1:
        kernels += [*calls(1 + 2 * feature_map.degree)]
    elif feature_map.degree > 1:
        kernels += [*calls(2 + feature_map.degree // 4)]
    return tuple(kernels)


def _expanded(feature_map: PolynomialMap, rows: int) -> list[Kernel]:
    """phi of one position: rows of one element."""
    kernels: list[Kernel] = []
    for degree in range(2, feature_map.degree + 1):
        n_rows = rows * math.comb(feature_map.head_dim + degree - 1, degree)
        kernels += [Kernel("gather", (n_rows, 1), 2), Kernel("map", (n_rows,))]
    if len(feature_map.used_degrees) > 1:
        kernels.append(Kernel("copy", (rows * feature_map.expanded_size,)))
    return kernels


# A row a kind: (config, batch, context) -> what one layer runs.
MIXER_STEPS: dict[str, Callable[[Any, int, int], list[Part]]] = {
    "softmax": _of_attention,
    "window": _of_attention,
    "linear": _of_linear_family,
    "taylor": _of_linear_family,
    "power": _of_linear_family,
    "mamba2": mamba2_step,
    "mamba": mamba_step,
    "s4": s4_step,
}
