"""GPT-2: learned positions, layer norms, biases everywhere; its linears hold inputs by outputs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isostate.costs.huggingface.gpt import GPT2
from isostate.costs.huggingface.keys import Flag
from isostate.export.mapping import (
    PLAIN_WORDS,
    HuggingFaceType,
    Layout,
    activation,
    linear_layout,
    must_be,
    same,
    word_of,
)
from isostate.model import ModelConfig


class GPT2File(GPT2):
    """With what decides its logits beside the sizes, and its dropout."""

    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: Flag = True
    scale_attn_by_inverse_layer_idx: Flag = False
    resid_pdrop: float = 0.1
    embd_pdrop: float = 0.1
    attn_pdrop: float = 0.1


def read(values: Mapping[str, Any], where: str) -> ModelConfig:
    """Of two dropouts that differ, of embeddings and of the residual stream, the latter."""
    file = GPT2File.read(values, where)
    must_be(where, file.to_dict(), {"scale_attn_weights": True, "scale_attn_by_inverse_layer_idx": False})
    ours = {
        "vocab_size": file.vocab_size,
        "n_layers": file.n_layer,
        "d_model": file.n_embd,
        "d_ff": file.n_inner or 4 * file.n_embd,
        "mixer": {"kind": "softmax", "n_heads": file.n_head, "attention_dropout": file.attn_pdrop},
        "mlp": activation(PLAIN_WORDS, "activation_function", file.activation_function, where),
        "norm": "layer",
        "norm_eps": file.layer_norm_epsilon,
        "bias": "all",
        "embeddings": "tied" if file.tie_word_embeddings else "untied",
        "position_embedding": "learned",
        "max_context": file.n_positions,
        "dropout": file.resid_pdrop,
    }
    return ModelConfig.parse(ours, where)


def write(config: ModelConfig, context: int | None) -> dict[str, Any]:
    """Keys of config.json."""
    mixer: Any = config.mixer
    return {
        "vocab_size": config.vocab_size,
        "n_layer": config.n_layers,
        "n_embd": config.d_model,
        "n_head": mixer.n_heads,
        "n_inner": config.d_ff,
        "n_positions": config.max_context,
        "activation_function": word_of(PLAIN_WORDS, config.mlp),
        "layer_norm_epsilon": config.eps,
        "tie_word_embeddings": config.embeddings == "tied",
        "resid_pdrop": config.dropout,
        "embd_pdrop": config.dropout,
        "attn_pdrop": mixer.attention_dropout,
    }


def layout(config: ModelConfig) -> Layout:
    """Queries, keys and values lie joined there too."""
    found: Layout = {
        "embedding.weight": same("transformer.wte.weight"),
        "embedding_of_positions_SD": same("transformer.wpe.weight"),
        **linear_layout("final_norm", {"transformer.ln_f": None}, bias=True),
    }
    for n in range(config.n_layers):
        ours, theirs = f"blocks.{n}", f"transformer.h.{n}"
        found |= linear_layout(f"{ours}.mixer_norm", {f"{theirs}.ln_1": None}, bias=True)
        found |= linear_layout(f"{ours}.mlp_norm", {f"{theirs}.ln_2": None}, bias=True)
        for one, other in (
            ("mixer.in_proj", "attn.c_attn"),
            ("mixer.out_proj", "attn.c_proj"),
            ("mlp.in_proj", "mlp.c_fc"),
            ("mlp.out_proj", "mlp.c_proj"),
        ):
            found |= linear_layout(f"{ours}.{one}", {f"{theirs}.{other}": None}, bias=True, turned=True)
    return found


GPT2_TYPE = HuggingFaceType("gpt2", "GPT2LMHeadModel", read, write, layout, "transformer.")
