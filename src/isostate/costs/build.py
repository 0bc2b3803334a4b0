"""From the description of a famous model to the decoder that Isostate builds, for those whose parts it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from isostate.config import UserError
from isostate.costs.architecture import Architecture, Block
from isostate.costs.attention import Attention
from isostate.costs.feedforward import MLP
from isostate.costs.recurrent import Mamba, Mamba2
from isostate.costs.sublayer import Sublayer
from isostate.model import ModelConfig

POSITIONS = {"none": "none", "rope": "rotary", "alibi": "alibi"}
# Biases of the attention's linears and of the feed-forward's -> ModelConfig.bias.
BIASES = {
    ("none", False): "none",
    ("qkv", False): "qkv",
    ("all", False): "attention",
    ("none", True): "mlp",
    ("all", True): "all",
}
NAMES = {
    "cross": "cross attention",
    "mla": "latent attention",
    "moe": "mixture of experts",
    "mamba": "Mamba beside others",
    "mamba2": "Mamba-2 beside others",
    "rwkv4": "RWKV-4",
    "rwkv4-channel": "channel mixing of RWKV-4",
}
PLAIN_NORMS = {("layer", True, True): "layer", ("rms", True, False): "rms"}  # (kind, gain, bias)


def missing_parts(architecture: Architecture) -> list[str]:
    """In words, what Isostate's decoder does not have of it; empty where it builds."""
    blocks = [block for block, _ in architecture.counted_blocks()]
    parts = [*_missing_around(architecture), *(part for block in blocks for part in _missing_in(block))]
    if any(_around_mixer(block) != _around_mixer(blocks[0]) for block in blocks):
        parts.append("blocks that differ in more than their mixers")
    return list(dict.fromkeys(parts))


def to_model_config(architecture: Architecture) -> ModelConfig:
    """The same model with Isostate's blocks. Raises UserError where it lacks one, and says which."""
    if missing := missing_parts(architecture):
        raise UserError(f"Isostate cannot build this model yet, only count it: no {', no '.join(missing)}")
    blocks, embedding = architecture.blocks(), architecture.embedding
    block, last = blocks[0], blocks[0].sublayers[-1]
    assert embedding.kind == "tokens"
    values = {
        "vocab_size": embedding.vocab_size,
        "n_layers": architecture.n_blocks,
        "d_model": architecture.d_model,
        "mixer": _mixer([_mixing(one.sublayers[0], architecture.d_model) for one in blocks]),
        "norm": PLAIN_NORMS[block.norm.kind, block.norm.gain, block.norm.bias],
        "block": "parallel" if block.parallel else "sequential",
        "bias": BIASES[_biases(block)],
        "embeddings": architecture.head.kind,
        "position_embedding": embedding.positions,
    }
    values |= {"mlp": last.activation, "d_ff": last.d_ff} if isinstance(last, MLP) else {"mlp": "none"}
    if embedding.n_positions is not None:  # rows that OPT's contexts do not reach are rows all the same
        values["max_context"] = embedding.n_positions + embedding.unused_positions
    return ModelConfig.parse(values, "this model")


def _mixer(layers: list[dict[str, Any]]) -> dict[str, Any]:
    """One for all layers, or a stack of those that differ, named by the order in which they come."""
    different = list({repr(one): one for one in layers}.values())
    if len(different) == 1:
        return different[0]
    names = {repr(one): f"{one['kind']}-{number}" for number, one in enumerate(different, start=1)}
    return {
        "kind": "stack",
        "layers": [names[repr(one)] for one in layers],
        "mixers": {names[repr(one)]: one for one in different},
    }


def _mixing(sublayer: Sublayer, d_model: int) -> dict[str, Any]:
    """The mixer's config."""
    if isinstance(sublayer, (Mamba, Mamba2)):
        both = {
            "kind": sublayer.kind,
            "expand": sublayer.d_inner // d_model,
            "d_state": sublayer.d_state,
            "conv_taps": sublayer.conv_taps,
            "conv_bias": sublayer.conv_bias,
        }
        if isinstance(sublayer, Mamba):
            return both | {"dt_rank": sublayer.dt_rank}
        groups = {name: getattr(sublayer, name) for name in ("n_heads", "head_dim", "n_groups", "chunk")}
        return both | groups
    assert isinstance(sublayer, Attention)
    return {
        "kind": "softmax" if sublayer.window is None else "window",
        "n_heads": sublayer.n_heads,
        "n_kv_heads": sublayer.n_kv_heads,
        "head_dim": sublayer.head_dim,
        "positions": POSITIONS[sublayer.positions],
        "qk_norm": sublayer.qk_norm,
        **({} if sublayer.window is None else {"window": sublayer.window}),
    }


def _biases(block: Block) -> tuple[str, bool]:
    """Of the mixer's linears and of the feed-forward's."""
    first, last = block.sublayers[0], block.sublayers[-1]
    if isinstance(first, (Mamba, Mamba2)):
        return "all" if first.bias else "none", False
    assert isinstance(first, Attention)
    assert isinstance(last, MLP)
    return first.bias, last.bias


def _around_mixer(block: Block) -> tuple[Any, ...]:
    """All of a block but its mixer, whose biases are every layer's."""
    bias = getattr(block.sublayers[0], "bias", None)
    return block.norm, block.norms, block.parallel, bias, block.sublayers[1:]


def _missing_around(architecture: Architecture) -> Iterator[str]:
    """Before the first block and after the last."""
    embedding, head = architecture.embedding, architecture.head
    if architecture.tower is not None:
        yield "second tower"
    if embedding.kind == "patches":
        yield "images"
    elif embedding.width is not None:
        yield "table narrower than the model"
    elif embedding.token_types:
        yield "token types"
    if embedding.norm is not None:
        yield "norm behind the embedding"
    if architecture.final_norm != architecture.blocks()[0].norm:
        yield "model without a last norm like the others"
    if head.kind not in {"tied", "untied"} or head.pooler or head.transform is not None:
        yield "head that is not one matrix"
    elif head.bias:
        yield "bias of the head"


def _missing_in(block: Block) -> Iterator[str]:
    norm = (block.norm.kind, block.norm.gain, block.norm.bias)
    if norm not in PLAIN_NORMS:
        yield f"{block.norm.kind} norm {'without a bias' if norm[1] else 'without a gain'}"
    if block.parallel and block.norms != "shared":
        yield "parallel sublayers with a norm each"
    elif block.norms not in {"pre", "shared"}:
        yield {"post": "norms after the sublayers", "sandwich": "norms on both sides", "none": "block without norms"}[
            block.norms
        ]
    kinds = [one.kind for one in block.sublayers]
    if kinds in (["mamba"], ["mamba2"]):
        return
    if kinds != ["attention", "mlp"]:
        yield from (NAMES[kind] for kind in kinds if kind in NAMES)
        if "mlp" not in kinds and "moe" not in kinds:
            yield "block without a feed-forward"
        return
    attention, mlp = block.sublayers
    assert isinstance(attention, Attention)
    assert isinstance(mlp, MLP)
    if not attention.causal:
        yield "attention both ways"
    if attention.banded:
        yield "banded attention"
    if attention.positions not in POSITIONS:
        yield "relative positions"
    if attention.qk_norm == "layer":
        yield "layer norm of queries and keys"
    if (attention.bias, mlp.bias) not in BIASES:
        yield "biases of some linears alone"
