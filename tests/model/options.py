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
    "no MLP": {"mlp": "none", "bias": "attention"},
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


# Mixers by layer, of width 16: one of each sort, and one sort twice.
STACKS: dict[str, dict[str, Any]] = {
    "two": {"kind": "stack", "layers": ["softmax", "linear"]},
    "four": {
        **{"kind": "stack", "layers": ["mamba2", "near", "mamba2", "far"]},
        "mixers": {
            "mamba2": {"d_state": 5, "n_groups": 2, "chunk": 16},
            "near": {"kind": "window", "window": 7, "positions": "rotary", "attention_dropout": 0.1},
            "far": {"kind": "taylor", "gate": "head", "positions": "rotary", "chunk": 16},
        },
    },
}


def config_of(mixer: MixerConfig | dict[str, Any], **changes: Any) -> ModelConfig:
    """Two layers around this mixer, or of this stack, which take their biases from the model."""
    sizes = {"vocab_size": VOCABULARY, "n_layers": 2, "d_model": 16 if isinstance(mixer, dict) else mixer.d_model}
    given = mixer if isinstance(mixer, dict) else mixer.to_dict()
    inner = {key: value for key, value in given.items() if key != "bias"}
    return ModelConfig.parse(sizes | {"mixer": inner} | changes, "m")


def tokens(length: int = T, seed: int = 0, vocab_size: int = VOCABULARY) -> torch.Tensor:
    return torch.randint(0, vocab_size, (B, length), generator=torch.Generator().manual_seed(seed))
