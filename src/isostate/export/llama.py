"""Llama 1 to 3: RMSNorm, rotary positions and their scaling, grouped queries, a gated feed-forward."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isostate.costs.huggingface.keys import Number
from isostate.costs.huggingface.llama import Llama, LlamaLike
from isostate.export.mapping import GATED_WORDS, HuggingFaceType, Layout, activation, linear_layout, same, word_of
from isostate.export.rope import read_rope, write_rope
from isostate.model import ModelConfig

BIASES = {(False, False): "none", (True, False): "attention", (False, True): "mlp", (True, True): "all"}


class LlamaFile(Llama):
    """With what decides its logits beside the sizes, and its dropout."""

    rms_norm_eps: float = 1e-6
    max_position_embeddings: Number = 2048
    attention_dropout: float | None = None


def read(values: Mapping[str, Any], where: str) -> ModelConfig:
    """As ours."""
    file = LlamaFile.read(values, where)
    bias = BIASES[file.attention_bias, file.mlp_bias]
    rotary = read_rope(values, file.max_position_embeddings, where)
    mixer = attention(file, rotary, file.attention_dropout) | {"kind": "softmax"}
    return ModelConfig.parse(around(file, file.rms_norm_eps, where) | {"bias": bias, "mixer": mixer}, where)


def attention(file: LlamaLike, rotary: dict[str, Any], dropout: float | None) -> dict[str, Any]:
    """What the mixers of Llama and of Mistral share."""
    return {
        "n_heads": file.num_attention_heads,
        "n_kv_heads": file.num_key_value_heads or file.num_attention_heads,
        "head_dim": file.head_dim or file.hidden_size // file.num_attention_heads,
        "positions": "rotary",
        "rotary": rotary,
        "attention_dropout": dropout or 0.0,
    }


def around(file: LlamaLike, eps: float, where: str) -> dict[str, Any]:
    """What their models share around the mixer."""
    return {
        "vocab_size": file.vocab_size,
        "n_layers": file.num_hidden_layers,
        "d_model": file.hidden_size,
        "d_ff": file.intermediate_size,
        "mlp": activation(GATED_WORDS, "hidden_act", file.hidden_act, where),
        "norm_eps": eps,
        "embeddings": "tied" if file.tie_word_embeddings else "untied",
    }


def write(config: ModelConfig, context: int | None) -> dict[str, Any]:
    """Keys of config.json; without a context, `max_position_embeddings` is transformers' own."""
    mixer: Any = config.mixer
    rotary = write_rope(mixer.rotary)
    if context is None and mixer.rotary is not None and mixer.rotary.trained_context is not None:
        context = round(mixer.rotary.trained_context * mixer.rotary.factor)
    return {
        "vocab_size": config.vocab_size,
        "num_hidden_layers": config.n_layers,
        "hidden_size": config.d_model,
        "intermediate_size": config.d_ff,
        "num_attention_heads": mixer.n_heads,
        "num_key_value_heads": mixer.n_kv_heads,
        "head_dim": mixer.head_dim,
        "hidden_act": word_of(GATED_WORDS, config.mlp),
        "rms_norm_eps": config.eps,
        "attention_bias": config.bias in ("attention", "all"),
        "mlp_bias": config.bias in ("mlp", "all"),
        "attention_dropout": mixer.attention_dropout,
        "tie_word_embeddings": config.embeddings == "tied",
        **({} if context is None else {"max_position_embeddings": context}),
        **rotary,
    }


def layout(config: ModelConfig) -> Layout:
    """Ours joins queries, keys and values in one matrix, gate and up in another. Rotary pairs are (i, i + K/2), too."""
    mixer: Any = config.mixer
    found = {"embedding.weight": same("model.embed_tokens.weight"), "final_norm.gain": same("model.norm.weight")}
    in_attention, in_mlp = config.bias in ("attention", "all"), config.bias in ("mlp", "all")
    widths = dict(zip("qkv", mixer.widths[:3], strict=True))
    for n in range(config.n_layers):
        ours, theirs = f"blocks.{n}", f"model.layers.{n}"
        found[f"{ours}.mixer_norm.gain"] = same(f"{theirs}.input_layernorm.weight")
        found[f"{ours}.mlp_norm.gain"] = same(f"{theirs}.post_attention_layernorm.weight")
        into: dict[str, int | None] = {f"{theirs}.self_attn.{one}_proj": width for one, width in widths.items()}
        halves: dict[str, int | None] = {f"{theirs}.mlp.{one}_proj": config.d_ff for one in ("gate", "up")}
        found |= linear_layout(f"{ours}.mixer.in_proj", into, in_attention)
        found |= linear_layout(f"{ours}.mixer.out_proj", {f"{theirs}.self_attn.o_proj": None}, in_attention)
        found |= linear_layout(f"{ours}.mlp.in_proj", halves, in_mlp)
        found |= linear_layout(f"{ours}.mlp.out_proj", {f"{theirs}.mlp.down_proj": None}, in_mlp)
    return found


LLAMA_TYPE = HuggingFaceType("llama", "LlamaForCausalLM", read, write, layout, "model.")
