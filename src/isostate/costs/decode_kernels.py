"""The kernels of one step of generation: one token a sequence, in the recurrent form, without gradients."""

from __future__ import annotations

import math

from isostate.costs.kernels import ACTING, FLOAT32_BYTES, Kernel, Part, calls, repeated
from isostate.costs.mixer_kernels import kv_heads, projected_width, rms_norm
from isostate.mixers import MixerConfig
from isostate.mixers.feature_maps import PolynomialMap
from isostate.mixers.linear import LinearConfig
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.softmax import AttentionConfig
from isostate.mixers.window import WindowConfig
from isostate.model import ModelConfig
from isostate.model.layers import GATED


def decode_parts(config: ModelConfig, batch: int, context: int) -> tuple[Part, ...]:
    """Logits of the token behind `context` tokens, for each of `batch` sequences."""
    mixer, width, taps = config.mixer, config.d_model, config.conv_taps
    norm = _norm(config, batch)
    layer = [
        Part("norms", norm, config.n_norms),
        Part("projection in", _linear(batch, width, projected_width(mixer))),
        Part("heads", _heads(mixer, batch)),
        Part("mixing", _mixing(mixer, batch, context), state_bytes=_state_bytes(mixer, batch, context)),
        Part("projection out", _linear(batch, mixer.n_heads * mixer.head_dim, width)),
        Part("feed-forward", _mlp(config, batch)),
        Part("residual", (Kernel("map", (batch * width,), 2),)),
    ]
    if taps:
        kernels = (Kernel("copy", (batch * taps * width,)), Kernel("update", (batch * width,), taps))
        layer.append(Part("convolution", (*kernels, *calls(2 * taps + 1))))
    positions = calls(13) if mixer.positions == "rotary" else ()  # the new position's angles
    if config.position_embedding != "none":
        positions += (Kernel("map", (batch * width,)), *calls(2 if config.position_embedding == "learned" else 12))
    return (
        Part("embedding", (Kernel("gather", (batch, width)),)),
        *([Part("positions", positions)] if positions else []),
        *repeated(layer, config.n_layers),
        Part("last norm", norm),
        Part("head", _head(config, batch)),
    )


def repeated_elements(config: ModelConfig, batch: int, context: int) -> int:
    """Keys and values that a layer copies for every query head of their group, and forgets."""
    mixer = config.mixer
    if not isinstance(mixer, AttentionConfig) or mixer.n_kv_heads == mixer.n_heads:
        return 0
    return 2 * batch * mixer.n_heads * mixer.head_dim * _n_keys(mixer, context)


def _n_keys(mixer: AttentionConfig, context: int) -> int:
    return min(context + 1, mixer.window) if isinstance(mixer, WindowConfig) else context + 1


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
    elements, gated = (batch * config.d_ff,), config.mlp in GATED
    acting: list[Kernel] = [Kernel(ACTING[config.mlp], elements)]
    acting += [Kernel("map", elements), *calls(1)] if gated else []
    acting += [Kernel("map", elements)] if config.mlp == "squared-relu" else []
    into = _linear(batch, config.d_model, (1 + gated) * config.d_ff)
    return (*into, *acting, *_linear(batch, config.d_ff, config.d_model))


def _heads(mixer: MixerConfig, batch: int) -> tuple[Kernel, ...]:
    kernels = [*calls(9)]
    for n_heads in (mixer.n_heads, kv_heads(mixer)):
        rows = (batch * n_heads, mixer.head_dim)
        if mixer.qk_norm == "rms":
            kernels += [Kernel("strided", rows), *rms_norm(*rows).forward]
        if mixer.positions == "rotary":
            kernels += [Kernel("strided", rows, 3), Kernel("map", (math.prod(rows),), 2), *calls(1)]
    return tuple(kernels)


def _mixing(mixer: MixerConfig, batch: int, context: int) -> tuple[Kernel, ...]:
    if isinstance(mixer, LinearFamilyConfig):
        return _recurrence(mixer, batch)
    assert isinstance(mixer, AttentionConfig), f"{mixer.kind}: no kernels"
    n_heads, size = batch * mixer.n_heads, mixer.head_dim
    joined = (
        batch * mixer.n_kv_heads * (min(context, mixer.window) if isinstance(mixer, WindowConfig) else context) * size
    )
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
        Kernel("map", (n_heads * keys,)),
        Kernel("softmax", (n_heads, keys)),
        Kernel("batched matmul", (1, keys, size), units=n_heads),
        *calls(21 if mixer.positions == "alibi" else 19),
    )


def _state_bytes(mixer: MixerConfig, batch: int, context: int) -> int:
    """A matrix state is read and written; a cache is read, and the new key and value written."""
    elements = mixer.state_size(context + 1).elements
    written = elements if isinstance(mixer, LinearFamilyConfig) else 2 * kv_heads(mixer) * mixer.head_dim
    return FLOAT32_BYTES * batch * (elements + written)


def _recurrence(mixer: LinearFamilyConfig, batch: int) -> tuple[Kernel, ...]:
    feature_map, rows = mixer.feature_map, batch * mixer.n_heads
    normalised, decayed = mixer.normaliser == "sum", mixer.gate == "head" or mixer.positions == "alibi"
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
