"""Llama and its heirs: RMSNorm, rotary positions, gated feed-forwards. Llama, Mistral and Mixtral."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from isostate.costs.architecture import Architecture, Block, TokenEmbedding
from isostate.costs.attention import Attention
from isostate.costs.feedforward import MLP, MoE
from isostate.costs.huggingface.keys import (
    RMS,
    Flag,
    HuggingFaceConfig,
    Layers,
    Number,
    NumberOrNone,
    Word,
    check_heads,
    check_kv_heads,
    gated,
    gather,
    tied,
)

LayerTypes = list[Literal["full_attention", "sliding_attention"]] | None
Biases = Literal["none", "qkv", "all"]


class LlamaLike(HuggingFaceConfig):
    """Abstract: what Llama and its heirs share. `head_dim` left out is hidden_size / num_attention_heads."""

    vocab_size: Number
    hidden_size: Number
    intermediate_size: Number
    num_hidden_layers: Layers
    num_attention_heads: Number
    num_key_value_heads: NumberOrNone = None
    head_dim: NumberOrNone = None
    hidden_act: Word = "silu"
    tie_word_embeddings: Flag = False

    qk_norm: ClassVar[Literal["none", "rms"]] = "none"
    norms: ClassVar[Literal["pre", "sandwich"]] = "pre"

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.head_dim is None:
            check_heads("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        check_kv_heads("num_attention_heads", self.num_attention_heads, "num_key_value_heads", self.num_key_value_heads)
        return self

    def windows(self) -> Sequence[int | None]:
        """The window of every layer, None where it sees all."""
        return [None] * self.num_hidden_layers

    def biases(self) -> Biases:
        return "none"

    def feed_forward(self, layer: int) -> MLP | MoE:
        """Of layer number `layer`, from 0."""
        return MLP(d_ff=self.intermediate_size, activation=gated(self.hidden_act))

    def blocks(self) -> list[Block]:
        """Every layer."""
        made = []
        for layer, window in enumerate(self.windows()):
            attention = Attention(
                n_heads=self.num_attention_heads,
                n_kv_heads=self.num_key_value_heads or self.num_attention_heads,
                head_dim=self.head_dim or self.hidden_size // self.num_attention_heads,
                window=window,
                positions="rope",
                bias=self.biases(),
                qk_norm=self.qk_norm,
            )
            made.append(Block(sublayers=(attention, self.feed_forward(layer)), norm=RMS, norms=self.norms))
        return made

    def architecture(self) -> Architecture:
        return Architecture(
            d_model=self.hidden_size,
            embedding=TokenEmbedding(vocab_size=self.vocab_size),
            groups=gather(self.blocks()),
            final_norm=RMS,
            head=tied(self.tie_word_embeddings),
        )


def typed_windows(
    types: LayerTypes, window: int | None, n_layers: int, slides: Callable[[int], bool]
) -> Sequence[int | None]:
    """The window of every layer: by its type where types are given, else where the model's rule `slides` says so."""
    if types is None:
        return [window if slides(layer) else None for layer in range(n_layers)]
    return [window if one == "sliding_attention" else None for one in types]


def check_types(types: LayerTypes, n_layers: int) -> None:
    """Raises ValueError unless every layer has a type, or none."""
    if types is not None and len(types) != n_layers:
        raise ValueError(f"layer_types names {len(types)} layers: must name num_hidden_layers = {n_layers}")


class Llama(LlamaLike):
    """Llama 1 to 3."""

    attention_bias: Flag = False
    mlp_bias: Flag = False

    def biases(self) -> Biases:
        return "all" if self.attention_bias else "none"

    def feed_forward(self, layer: int) -> MLP | MoE:
        return MLP(d_ff=self.intermediate_size, activation=gated(self.hidden_act), bias=self.mlp_bias)


class Mistral(LlamaLike):
    """Mistral: grouped queries; every layer windowed where `sliding_window` is a number."""

    num_key_value_heads: NumberOrNone = 8
    sliding_window: NumberOrNone = 4096

    def windows(self) -> Sequence[int | None]:
        return [self.sliding_window] * self.num_hidden_layers


class Mixtral(LlamaLike):
    """Mixtral: every feed-forward a mixture of experts."""

    num_key_value_heads: NumberOrNone = 8
    num_local_experts: Number = 8
    num_experts_per_tok: Number = 2
    sliding_window: NumberOrNone = None

    aliases: ClassVar[dict[str, str]] = {"num_experts": "num_local_experts"}

    def windows(self) -> Sequence[int | None]:
        return [self.sliding_window] * self.num_hidden_layers

    def feed_forward(self, layer: int) -> MLP | MoE:
        return MoE(
            n_experts=self.num_local_experts,
            top_k=self.num_experts_per_tok,
            d_ff=self.intermediate_size,
            activation=gated(self.hidden_act),
        )
