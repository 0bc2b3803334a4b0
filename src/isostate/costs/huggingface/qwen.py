"""Qwen 1.5 to 3 in the file types of Hugging Face: biases before Qwen 3, a norm of queries and keys since; mixtures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from isostate.costs.feedforward import MLP, MoE
from isostate.costs.huggingface.keys import Flag, Number, NumberOrNone, Zero, gated
from isostate.costs.huggingface.llama import Biases, LayerTypes, LlamaLike, check_types, typed_windows


class Qwen2(LlamaLike):
    """Qwen 1.5 to 2.5: biases of queries, keys and values; windows only where asked for, from max_window_layers on."""

    num_key_value_heads: NumberOrNone
    use_sliding_window: Flag = False
    sliding_window: NumberOrNone = 4096
    max_window_layers: Zero = 28
    layer_types: LayerTypes = None

    @model_validator(mode="after")
    def _types_of_all_layers(self) -> Self:
        check_types(self.layer_types, self.num_hidden_layers)
        return self

    def windows(self) -> Sequence[int | None]:
        window = self.sliding_window if self.use_sliding_window else None
        rule = range(self.max_window_layers, self.num_hidden_layers)
        return typed_windows(self.layer_types, window, self.num_hidden_layers, rule.__contains__)

    def biases(self) -> Biases:
        return "qkv"


class Qwen3(LlamaLike):
    """Qwen 3: heads of a size of their own, a norm of queries and keys, no biases."""

    num_key_value_heads: NumberOrNone
    head_dim: NumberOrNone = 128
    use_sliding_window: Flag = False
    sliding_window: NumberOrNone = 4096
    max_window_layers: Zero = 28
    layer_types: LayerTypes = None
    attention_bias: Flag = False

    qk_norm: ClassVar[Literal["none", "rms"]] = "rms"

    @model_validator(mode="after")
    def _types_of_all_layers(self) -> Self:
        check_types(self.layer_types, self.num_hidden_layers)
        return self

    def windows(self) -> Sequence[int | None]:
        window = self.sliding_window if self.use_sliding_window else None
        rule = range(self.max_window_layers, self.num_hidden_layers)
        return typed_windows(self.layer_types, window, self.num_hidden_layers, rule.__contains__)

    def biases(self) -> Biases:
        return "all" if self.attention_bias else "none"


class Qwen2Moe(LlamaLike):
    """Qwen 1.5 and 2 mixtures: routed experts, and a shared one behind a gate."""

    num_key_value_heads: NumberOrNone
    use_sliding_window: Flag = False
    sliding_window: NumberOrNone = 4096
    max_window_layers: Zero = 28
    layer_types: LayerTypes = None
    moe_intermediate_size: Number
    shared_expert_intermediate_size: Number
    num_experts: Number
    num_experts_per_tok: Number
    decoder_sparse_step: Number = 1
    mlp_only_layers: list[Zero] | None = None
    qkv_bias: Flag = True

    @model_validator(mode="after")
    def _types_of_all_layers(self) -> Self:
        check_types(self.layer_types, self.num_hidden_layers)
        return self

    def windows(self) -> Sequence[int | None]:
        window = self.sliding_window if self.use_sliding_window else None
        rule = range(0, self.max_window_layers, 2)
        return typed_windows(self.layer_types, window, self.num_hidden_layers, rule.__contains__)

    def biases(self) -> Biases:
        return "qkv" if self.qkv_bias else "none"

    def feed_forward(self, layer: int) -> MLP | MoE:
        if is_dense(layer, self.mlp_only_layers, self.decoder_sparse_step):
            return super().feed_forward(layer)
        return MoE(
            n_experts=self.num_experts,
            top_k=self.num_experts_per_tok,
            d_ff=self.moe_intermediate_size,
            activation=gated(self.hidden_act),
            shared_d_ff=self.shared_expert_intermediate_size,
            shared_gate=True,
        )


class Qwen3Moe(LlamaLike):
    """Qwen 3 mixtures: no shared expert."""

    num_key_value_heads: NumberOrNone = 4
    use_sliding_window: Flag = False
    sliding_window: NumberOrNone = 4096
    attention_bias: Flag = False
    moe_intermediate_size: Number
    num_experts: Number
    num_experts_per_tok: Number
    decoder_sparse_step: Number = 1
    mlp_only_layers: list[Zero] | None = None

    qk_norm: ClassVar[Literal["none", "rms"]] = "rms"
    aliases: ClassVar[dict[str, str]] = {"num_local_experts": "num_experts"}

    def windows(self) -> Sequence[int | None]:
        return [self.sliding_window if self.use_sliding_window else None] * self.num_hidden_layers

    def biases(self) -> Biases:
        return "all" if self.attention_bias else "none"

    def feed_forward(self, layer: int) -> MLP | MoE:
        if is_dense(layer, self.mlp_only_layers, self.decoder_sparse_step):
            return super().feed_forward(layer)
        return MoE(
            n_experts=self.num_experts,
            top_k=self.num_experts_per_tok,
            d_ff=self.moe_intermediate_size,
            activation=gated(self.hidden_act),
        )


def is_dense(layer: int, dense_layers: Sequence[int] | None, step: int) -> bool:
    """Whether a layer has a feed-forward instead of experts: named so, or between every `step`-th."""
    return layer in (dense_layers or ()) or (layer + 1) % step != 0
