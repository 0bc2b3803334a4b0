"""The parameters of a decoder by name and shape, in the order of its module, without building it."""

from __future__ import annotations

from math import prod

from isostate.mixers import MixerConfig
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.softmax import AttentionConfig
from isostate.model import ModelConfig
from isostate.model.layers import GATED

Shapes = dict[str, tuple[int, ...]]


def parameter_shapes(config: ModelConfig) -> Shapes:
    """Equal to the built model's `named_parameters()`, a tied table once."""
    before, block, after = _parts(config)
    blocks = {f"blocks.{n}.{name}": shape for n in range(config.n_layers) for name, shape in block.items()}
    return before | blocks | after


def n_padded(config: ModelConfig, align: int) -> int:
    """Elements of a flat buffer in which each parameter begins at a multiple of `align`."""
    before, block, after = (sum(-(-prod(shape) // align) * align for shape in part.values()) for part in _parts(config))
    return before + config.n_layers * block + after


def _parts(config: ModelConfig) -> tuple[Shapes, Shapes, Shapes]:
    """Before the blocks, of one block, after the blocks."""
    width, norm = config.d_model, _norm(config)
    before: Shapes = {"embedding.weight": (config.vocab_size, width)}
    if config.max_context is not None:
        before = {"embedding_of_positions_SD": (config.max_context, width)} | before
    block = {f"mixer_norm.{name}": shape for name, shape in norm.items()}
    if config.conv_taps:
        block["convolution.taps_WD"] = (config.conv_taps, width)
    block |= {f"mixer.{name}": shape for name, shape in _mixer(config.mixer).items()}
    if config.block == "sequential":
        block |= {f"mlp_norm.{name}": shape for name, shape in norm.items()}
    block |= {f"mlp.{name}": shape for name, shape in _mlp(config).items()}
    after = {f"final_norm.{name}": shape for name, shape in norm.items()}
    if config.embeddings == "untied":
        after["head.weight"] = (config.vocab_size, width)
    return before, block, after


def _norm(config: ModelConfig) -> Shapes:
    return {"gain": (config.d_model,)} if config.norm == "rms" else dict.fromkeys(("weight", "bias"), (config.d_model,))


def _mixer(mixer: MixerConfig) -> Shapes:
    n_kv_heads = mixer.n_kv_heads if isinstance(mixer, AttentionConfig) else mixer.n_heads
    gated = isinstance(mixer, LinearFamilyConfig) and mixer.gate == "head"
    wide, n_gates = mixer.n_heads * mixer.head_dim, mixer.n_heads if gated else 0
    n_out = wide + 2 * n_kv_heads * mixer.head_dim + n_gates
    shapes: Shapes = {}
    if mixer.qk_norm == "rms":
        shapes |= {"q_gain": (mixer.head_dim,), "k_gain": (mixer.head_dim,)}
    if gated and mixer.bias == "none":
        shapes["gate_bias"] = (n_gates,)
    shapes |= _linear("in_proj", mixer.d_model, n_out, mixer.bias != "none")
    return shapes | _linear("out_proj", wide, mixer.d_model, mixer.bias == "all")


def _mlp(config: ModelConfig) -> Shapes:
    bias, halves = config.bias in ("mlp", "all"), 2 if config.mlp in GATED else 1
    inner = _linear("in_proj", config.d_model, halves * config.d_ff, bias)
    return inner | _linear("out_proj", config.d_ff, config.d_model, bias)


def _linear(name: str, n_in: int, n_out: int, bias: bool) -> Shapes:
    return {f"{name}.weight": (n_out, n_in)} | ({f"{name}.bias": (n_out,)} if bias else {})
