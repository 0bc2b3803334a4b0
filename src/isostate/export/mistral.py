"""Mistral: Llama with a window. Without one it is read as all earlier positions, and written as Llama."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isostate.costs.huggingface.keys import Number
from isostate.costs.huggingface.llama import Mistral
from isostate.export import llama
from isostate.export.mapping import HuggingFaceType
from isostate.export.rope import read_rope
from isostate.model import ModelConfig


class MistralFile(Mistral):
    """With what decides its logits beside the sizes, and its dropout."""

    rms_norm_eps: float = 1e-6
    max_position_embeddings: Number = 131_072
    attention_dropout: float | None = None


def read(values: Mapping[str, Any], where: str) -> ModelConfig:
    """A window counts the position itself, there as here."""
    file = MistralFile.read(values, where)
    rotary = read_rope(values, file.max_position_embeddings, where)
    window = {"kind": "softmax"} if file.sliding_window is None else {"kind": "window", "window": file.sliding_window}
    mixer = llama.attention(file, rotary, file.attention_dropout) | window
    return ModelConfig.parse(llama.around(file, file.rms_norm_eps, where) | {"mixer": mixer}, where)


def write(config: ModelConfig, context: int | None) -> dict[str, Any]:
    """Keys of config.json."""
    mixer: Any = config.mixer
    written = llama.write(config, context)
    return {key: written[key] for key in written if not key.endswith("_bias")} | {"sliding_window": mixer.window}


MISTRAL_TYPE = HuggingFaceType("mistral", "MistralForCausalLM", read, write, llama.layout, "model.")
