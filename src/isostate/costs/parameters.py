"""The parameters of a decoder by name and shape, in the order of its module, without building it."""

from __future__ import annotations

from math import prod

from isostate.mixers.contract import Shapes, linear_shapes
from isostate.model import ModelConfig
from isostate.model.layers import GATED


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
    block |= {f"mixer.{name}": shape for name, shape in config.mixer.parameter_shapes().items()}
    if config.block == "sequential":
        block |= {f"mlp_norm.{name}": shape for name, shape in norm.items()}
    block |= {f"mlp.{name}": shape for name, shape in _mlp(config).items()}
    after = {f"final_norm.{name}": shape for name, shape in norm.items()}
    if config.embeddings == "untied":
        after["head.weight"] = (config.vocab_size, width)
    return before, block, after


def _norm(config: ModelConfig) -> Shapes:
    return {"gain": (config.d_model,)} if config.norm == "rms" else dict.fromkeys(("weight", "bias"), (config.d_model,))


def _mlp(config: ModelConfig) -> Shapes:
    bias, halves = config.bias in ("mlp", "all"), 2 if config.mlp in GATED else 1
    inner = linear_shapes("in_proj", config.d_model, halves * config.d_ff, bias)
    return inner | linear_shapes("out_proj", config.d_ff, config.d_model, bias)
