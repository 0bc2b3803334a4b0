"""Gemma 1 to 3: tied tables of many tokens, wide heads; from Gemma 2 on norms on both sides and windowed layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from isostate.costs.architecture import Architecture
from isostate.costs.huggingface.keys import Flag, HuggingFaceConfig, Number, NumberOrNone, Word
from isostate.costs.huggingface.llama import Biases, LayerTypes, LlamaLike, check_types, typed_windows


class Gemma(LlamaLike):
    """Gemma 1: 7B with all heads, 2B with one key-value head."""

    num_key_value_heads: NumberOrNone
    head_dim: NumberOrNone = 256
    hidden_act: Word = "gelu_pytorch_tanh"
    attention_bias: Flag = False
    tie_word_embeddings: Flag = True

    def biases(self) -> Biases:
        return "all" if self.attention_bias else "none"


class Gemma2(LlamaLike):
    """Gemma 2: every other layer windowed, the first one too."""

    num_key_value_heads: NumberOrNone
    head_dim: NumberOrNone = 256
    hidden_act: Word = "gelu_pytorch_tanh"
    sliding_window: NumberOrNone = 4096
    layer_types: LayerTypes = None
    attention_bias: Flag = False
    tie_word_embeddings: Flag = True

    norms: ClassVar[Literal["pre", "sandwich"]] = "sandwich"
    aliases: ClassVar[dict[str, str]] = {"hidden_activation": "hidden_act"}

    @model_validator(mode="after")
    def _types_of_all_layers(self) -> Self:
        check_types(self.layer_types, self.num_hidden_layers)
        return self

    def windows(self) -> Sequence[int | None]:
        rule = range(0, self.num_hidden_layers, 2)
        return typed_windows(self.layer_types, self.sliding_window, self.num_hidden_layers, rule.__contains__)

    def biases(self) -> Biases:
        return "all" if self.attention_bias else "none"


class Gemma3Text(LlamaLike):
    """Gemma 3 without images: five windowed layers, then a full one; a norm of queries and keys.

    The published files of the larger ones give only what differs from transformers' defaults, which are here.
    """

    vocab_size: Number = 262_208
    num_attention_heads: Number = 8
    num_key_value_heads: NumberOrNone = 4
    head_dim: NumberOrNone = 256
    hidden_act: Word = "gelu_pytorch_tanh"
    sliding_window: NumberOrNone = 4096
    sliding_window_pattern: Number = 6
    layer_types: LayerTypes = None
    attention_bias: Flag = False
    tie_word_embeddings: Flag = True

    qk_norm: ClassVar[Literal["none", "rms"]] = "rms"
    norms: ClassVar[Literal["pre", "sandwich"]] = "sandwich"
    aliases: ClassVar[dict[str, str]] = {"hidden_activation": "hidden_act"}

    @model_validator(mode="after")
    def _types_of_all_layers(self) -> Self:
        check_types(self.layer_types, self.num_hidden_layers)
        return self

    def windows(self) -> Sequence[int | None]:
        full = range(self.sliding_window_pattern - 1, self.num_hidden_layers, self.sliding_window_pattern)
        return typed_windows(
            self.layer_types, self.sliding_window, self.num_hidden_layers, lambda layer: layer not in full
        )

    def biases(self) -> Biases:
        return "all" if self.attention_bias else "none"


class Gemma3(HuggingFaceConfig):
    """Gemma 3 with images: its language model is counted, its image tower is not."""

    text_config: Gemma3Text

    @classmethod
    def read(cls, values: Mapping[str, Any], where: str) -> Self:
        """From a config.json with its two towers in tables of their own."""
        text = values.get("text_config")
        if not isinstance(text, dict):
            return cls.parse({"text_config": text} if "text_config" in values else {}, where)
        return cls(text_config=Gemma3Text.read(text, f"{where}, text_config"))

    def architecture(self) -> Architecture:
        left_out = "the image tower (SigLIP) and the projection that joins it"
        return self.text_config.architecture().model_copy(update={"left_out": left_out})
