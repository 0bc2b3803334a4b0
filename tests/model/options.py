"""Models for the tests: tiny ones of any mixer, and every option of a block, alone and all together."""

from __future__ import annotations

from typing import Any

import torch

from isostate.mixers import MixerConfig
from isostate.model import ModelConfig

VOCABULARY, B, T = 29, 2, 45

# Each differs from the defaults in what its name says. "everything" is GPT-2 and more.
OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "layer norm": {"norm": "layer"},
    "parallel": {"block": "parallel"},
    "convolution": {"conv_taps": 4},
    "biases of q, k, v": {"bias": "qkv"},
    "biases of attention": {"bias": "attention"},
    "biases of the MLP": {"bias": "mlp"},
    "biases": {"bias": "all"},
    "untied": {"embeddings": "untied"},
    "learned positions": {"position_embedding": "learned", "max_context": 140},
    "sinusoidal": {"position_embedding": "sinusoidal"},
    "dropout": {"dropout": 0.1},
    "capped logits": {"logit_cap": 3.0},
    **{kind: {"mlp": kind} for kind in ("geglu", "geglu-tanh", "reglu", "gelu", "gelu-tanh", "relu", "squared-relu")},
    "everything": {
        **{"norm": "layer", "bias": "all", "mlp": "gelu-tanh", "conv_taps": 3, "embeddings": "untied", "dropout": 0.2},
        **{"position_embedding": "learned", "max_context": 200, "logit_cap": 5.0, "d_ff": 7},
    },
    "everything, parallel": {
        **{"block": "parallel", "bias": "all", "mlp": "reglu", "conv_taps": 4, "dropout": 0.1},
        **{"position_embedding": "sinusoidal", "d_ff": 9},
    },
}


def config_of(mixer: MixerConfig, **changes: Any) -> ModelConfig:
    """Two layers around this mixer, which takes its biases from the model."""
    sizes = {"vocab_size": VOCABULARY, "n_layers": 2, "d_model": mixer.d_model}
    inner = {key: value for key, value in mixer.to_dict().items() if key != "bias"}
    return ModelConfig.parse(sizes | {"mixer": inner} | changes, "m")


def tokens(length: int = T, seed: int = 0, vocab_size: int = VOCABULARY) -> torch.Tensor:
    return torch.randint(0, vocab_size, (B, length), generator=torch.Generator().manual_seed(seed))
