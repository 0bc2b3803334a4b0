"""Mamba: blocks of a norm and a mixer, whose parameters have the same names there and here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isostate.costs.huggingface.recurrent import MambaFile
from isostate.export.mapping import HuggingFaceType, Layout, must_be, same
from isostate.model import ModelConfig


class MambaLogits(MambaFile):
    """With what decides its logits beside the sizes."""

    layer_norm_epsilon: float = 1e-5
    hidden_act: str = "silu"


def read(values: Mapping[str, Any], where: str) -> ModelConfig:
    """As ours."""
    file = MambaLogits.read(values, where)
    must_be(where, file.to_dict(), {"hidden_act": "silu"})
    mixer = {
        "kind": "mamba",
        "expand": file.expand,
        "d_state": file.state_size,
        "dt_rank": None if file.time_step_rank == "auto" else file.time_step_rank,
        "conv_taps": file.conv_kernel,
        "conv_bias": file.use_conv_bias,
    }
    return ModelConfig.parse(around(file, file.layer_norm_epsilon) | {"mixer": mixer}, where)


def around(file: Any, eps: float) -> dict[str, Any]:
    """What Mamba and Mamba-2 share around the mixer."""
    return {
        "vocab_size": file.vocab_size,
        "n_layers": file.num_hidden_layers,
        "d_model": file.hidden_size,
        "mlp": "none",
        "norm_eps": eps,
        "bias": "attention" if file.use_bias else "none",
        "embeddings": "tied" if file.tie_word_embeddings else "untied",
    }


def write_shared(config: ModelConfig) -> dict[str, Any]:
    """Keys of config.json that Mamba and Mamba-2 share."""
    mixer: Any = config.mixer
    return {
        "vocab_size": config.vocab_size,
        "num_hidden_layers": config.n_layers,
        "hidden_size": config.d_model,
        "state_size": mixer.d_state,
        "expand": mixer.expand,
        "conv_kernel": mixer.conv_taps,
        "layer_norm_epsilon": config.eps,
        "use_bias": config.bias == "attention",
        "use_conv_bias": mixer.conv_bias,
        "hidden_act": "silu",
        "tie_word_embeddings": config.embeddings == "tied",
    }


def write(config: ModelConfig, context: int | None) -> dict[str, Any]:
    """Keys of config.json."""
    mixer: Any = config.mixer
    return write_shared(config) | {"time_step_rank": mixer.rank, "intermediate_size": mixer.inner}


def layout(config: ModelConfig) -> Layout:
    """Name for name."""
    found = {"embedding.weight": same("backbone.embeddings.weight"), "final_norm.gain": same("backbone.norm_f.weight")}
    for n in range(config.n_layers):
        found[f"blocks.{n}.mixer_norm.gain"] = same(f"backbone.layers.{n}.norm.weight")
        for name in config.mixers[n].parameter_shapes():
            found[f"blocks.{n}.mixer.{name}"] = same(f"backbone.layers.{n}.mixer.{name}")
    return found


MAMBA_TYPE = HuggingFaceType("mamba", "MambaForCausalLM", read, write, layout, "backbone.")
