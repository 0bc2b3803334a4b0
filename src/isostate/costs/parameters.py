"""The parameters of a decoder by name and shape, in the order of its module, without building it."""

from __future__ import annotations

from math import prod

from isostate.mixers import MixerConfig
from isostate.mixers.contract import Shapes, linear_shapes
from isostate.model import ModelConfig
from isostate.model.layers import GATED


def parameter_shapes(config: ModelConfig) -> Shapes:
    """Equal to the built model's `named_parameters()`, a tied table once."""
    before, after = _ends(config)
    of_mixer = {mixer: _block(config, mixer) for mixer, _ in config.mixer_groups}
    layers = [of_mixer[mixer] for mixer in config.mixers]
    blocks = {f"blocks.{n}.{name}": shape for n, block in enumerate(layers) for name, shape in block.items()}
    return before | blocks | after


def n_padded(config: ModelConfig, align: int) -> int:
    """Elements of a flat buffer in which each parameter begins at a multiple of `align`."""

    def padded(part: Shapes) -> int:
        return sum(-(-prod(shape) // align) * align for shape in part.values())

    blocks = sum(times * padded(_block(config, mixer)) for mixer, times in config.mixer_groups)
    return blocks + sum(padded(part) for part in _ends(config))


def _ends(config: ModelConfig) -> tuple[Shapes, Shapes]:
    """Before the blocks and after them."""
    width, norm = config.d_model, _norm(config)
    before: Shapes = {"embedding.weight": (config.vocab_size, width)}
    if config.max_context is not None:
        before = {"embedding_of_positions_SD": (config.max_context, width)} | before
    after = {f"final_norm.{name}": shape for name, shape in norm.items()}
    if config.embeddings == "untied":
        after["head.weight"] = (config.vocab_size, width)
    return before, after


def _block(config: ModelConfig, mixer: MixerConfig) -> Shapes:
    norm = _norm(config)
    block = {f"mixer_norm.{name}": shape for name, shape in norm.items()}
    if config.conv_taps:
        block["convolution.taps_WD"] = (config.conv_taps, config.d_model)
    block |= {f"mixer.{name}": shape for name, shape in mixer.parameter_shapes().items()}
    if config.n_norms == 2:
        block |= {f"mlp_norm.{name}": shape for name, shape in norm.items()}
    return block | {f"mlp.{name}": shape for name, shape in _mlp(config).items()}


def _norm(config: ModelConfig) -> Shapes:
    return {"gain": (config.d_model,)} if config.norm == "rms" else dict.fromkeys(("weight", "bias"), (config.d_model,))


def _mlp(config: ModelConfig) -> Shapes:
    if config.mlp == "none":
        return {}
    bias, halves = config.bias in ("mlp", "all"), 2 if config.mlp in GATED else 1
    inner = linear_shapes("in_proj", config.d_model, halves * config.d_ff, bias)
    return inner | linear_shapes("out_proj", config.d_ff, config.d_model, bias)
