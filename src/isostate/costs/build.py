"""From the description of a famous model to the decoder that Isostate builds, for those whose parts it has."""

from __future__ import annotations

from collections.abc import Iterator

from isostate.config import UserError
from isostate.costs.architecture import Architecture, Block
from isostate.costs.attention import Attention
from isostate.costs.feedforward import MLP
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
    "mamba": "Mamba",
    "mamba2": "Mamba-2",
    "rwkv4": "RWKV-4",
    "rwkv4-channel": "channel mixing of RWKV-4",
}
PLAIN_NORMS = {("layer", True, True): "layer", ("rms", True, False): "rms"}  # (kind, gain, bias)


def missing_parts(architecture: Architecture) -> list[str]:
    """In words, what Isostate's decoder does not have of it; empty where it builds."""
    blocks = [block for block, _ in architecture.counted_blocks()]
    parts = [*_missing_around(architecture), *(part for block in blocks for part in _missing_in(block))]
    if any(block != blocks[0] for block in blocks):
        parts.append("blocks of more than one kind")
    return list(dict.fromkeys(parts))


def to_model_config(architecture: Architecture) -> ModelConfig:
    """The same model with Isostate's blocks. Raises UserError where it lacks one, and says which."""
    if missing := missing_parts(architecture):
        raise UserError(f"Isostate cannot build this model yet, only count it: no {', no '.join(missing)}")
    block, embedding = architecture.blocks()[0], architecture.embedding
    attention, mlp = block.sublayers
    assert isinstance(attention, Attention)
    assert isinstance(mlp, MLP)
    assert embedding.kind == "tokens"
    mixer = {
        "kind": "softmax" if attention.window is None else "window",
        "n_heads": attention.n_heads,
        "n_kv_heads": attention.n_kv_heads,
        "head_dim": attention.head_dim,
        "positions": POSITIONS[attention.positions],
        "qk_norm": attention.qk_norm,
        **({} if attention.window is None else {"window": attention.window}),
    }
    values = {
        "vocab_size": embedding.vocab_size,
        "n_layers": architecture.n_blocks,
        "d_model": architecture.d_model,
        "d_ff": mlp.d_ff,
        "mixer": mixer,
        "mlp": mlp.activation,
        "norm": PLAIN_NORMS[block.norm.kind, block.norm.gain, block.norm.bias],
        "block": "parallel" if block.parallel else "sequential",
        "bias": BIASES[attention.bias, mlp.bias],
        "embeddings": architecture.head.kind,
        "position_embedding": embedding.positions,
    }
    if embedding.n_positions is not None:  # rows that OPT's contexts do not reach are rows all the same
        values["max_context"] = embedding.n_positions + embedding.unused_positions
    return ModelConfig.parse(values, "this model")


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
