"""Hugging Face's own models, tiny, with random weights: what ours are held against."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path
from typing import Any

import torch

B, T, VOCABULARY = 2, 45, 29

GPT2 = {"n_embd": 24, "n_layer": 2, "n_head": 3, "n_positions": 64}
LLAMA = {
    **{"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4},
    **{"rms_norm_eps": 1e-5, "max_position_embeddings": 64},
}
MAMBA = {"hidden_size": 24, "num_hidden_layers": 2, "state_size": 5}
MAMBA2 = {"hidden_size": 24, "num_hidden_layers": 2, "state_size": 5, "num_heads": 6, "head_dim": 8, "chunk_size": 16}


def _rope(kind: str, **options: Any) -> dict[str, Any]:
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 500.0, **options}}


# name: (model type, keys). Rotary bases are small and contexts beyond the trained one, so that scaling shows.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "gpt2": ("gpt2", GPT2),
    "gpt2, untied": ("gpt2", GPT2 | {"tie_word_embeddings": False, "n_inner": 56}),
    "gpt2, gelu": ("gpt2", GPT2 | {"activation_function": "gelu", "layer_norm_epsilon": 1e-3}),
    "llama": ("llama", LLAMA),
    "llama, grouped": ("llama", LLAMA | {"num_key_value_heads": 2} | _rope("default")),
    "llama, one key head, tied": ("llama", LLAMA | {"num_key_value_heads": 1, "tie_word_embeddings": True}),
    "llama, wide heads": ("llama", LLAMA | {"head_dim": 10, "num_key_value_heads": 2}),
    "llama, attention bias": ("llama", LLAMA | {"attention_bias": True, "num_key_value_heads": 2}),
    "llama, all biases": ("llama", LLAMA | {"attention_bias": True, "mlp_bias": True, "hidden_act": "gelu"}),
    "llama, linear": ("llama", LLAMA | _rope("linear", factor=3.0)),
    "llama, yarn": (
        "llama",
        LLAMA | {"head_dim": 16} | _rope("yarn", factor=4.0, original_max_position_embeddings=16),
    ),
    "llama, yarn, its own ramp": (
        "llama",
        LLAMA
        | {"head_dim": 16}
        | _rope("yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=6.0, beta_slow=2.0),
    ),
    "llama, llama3": (
        "llama",
        LLAMA
        | {"head_dim": 16}
        | _rope(
            "llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16
        ),
    ),
    "mistral": ("mistral", LLAMA | {"num_key_value_heads": 2, "sliding_window": 7}),
    "mistral, no window": ("mistral", LLAMA | {"num_key_value_heads": 2, "sliding_window": None}),
    "mamba": ("mamba", MAMBA),
    "mamba, biases, untied": ("mamba", MAMBA | {"use_bias": True, "use_conv_bias": False, "time_step_rank": 3}
                              | {"tie_word_embeddings": False, "conv_kernel": 3}),
    "mamba2, one group": ("mamba2", MAMBA2 | {"n_groups": 1, "tie_word_embeddings": True}),
    "mamba2, groups": ("mamba2", MAMBA2 | {"n_groups": 3}),
    "mamba2, limits": ("mamba2", MAMBA2 | {"n_groups": 2, "use_bias": True, "time_step_limit": [0.01, 0.05]}),
}  # fmt: skip


@cache
def _classes() -> dict[str, tuple[Any, Any]]:
    logging.getLogger("transformers").setLevel(logging.ERROR)
    from transformers.models.gpt2 import configuration_gpt2, modeling_gpt2
    from transformers.models.llama import configuration_llama, modeling_llama
    from transformers.models.mamba import configuration_mamba, modeling_mamba
    from transformers.models.mamba2 import configuration_mamba2, modeling_mamba2
    from transformers.models.mistral import configuration_mistral, modeling_mistral

    return {
        "gpt2": (configuration_gpt2.GPT2Config, modeling_gpt2.GPT2LMHeadModel),
        "llama": (configuration_llama.LlamaConfig, modeling_llama.LlamaForCausalLM),
        "mistral": (configuration_mistral.MistralConfig, modeling_mistral.MistralForCausalLM),
        "mamba": (configuration_mamba.MambaConfig, modeling_mamba.MambaForCausalLM),
        "mamba2": (configuration_mamba2.Mamba2Config, modeling_mamba2.Mamba2ForCausalLM),
    }


def build(kind: str, keys: dict[str, Any], seed: int = 0) -> Any:
    """With every parameter random, gains and biases too: a part that is left out shows."""
    config_class, model_class = _classes()[kind]
    no_tokens = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    model = model_class(config_class(vocab_size=VOCABULARY, **no_tokens, **keys)).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "A_log" not in name:
                parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model


def load(kind: str, folder: Path) -> Any:
    """By transformers, every tensor accounted for."""
    model, info = _classes()[kind][1].from_pretrained(folder, output_loading_info=True, dtype=torch.float32)
    assert not info["missing_keys"], info
    assert not info["unexpected_keys"], info
    assert not info["mismatched_keys"], info
    return model.eval()


def tokens(length: int = T) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (B, length), generator=torch.Generator().manual_seed(1))


def logits(model: Any, length: int = T) -> torch.Tensor:
    """Of transformers' model."""
    with torch.no_grad():
        return model(tokens(length), use_cache=False).logits
