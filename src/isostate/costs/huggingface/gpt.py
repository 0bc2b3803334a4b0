"""Decoders in GPT's line: GPT-1, GPT-2, OPT, Bloom. LayerNorm, plain feed-forwards, biases everywhere."""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from isostate.costs.architecture import Architecture, Block, LayerGroup, Norm, TokenEmbedding
from isostate.costs.attention import Attention
from isostate.costs.feedforward import MLP
from isostate.costs.huggingface.keys import (
    LAYER,
    Flag,
    HuggingFaceConfig,
    Number,
    NumberOrNone,
    Word,
    check_heads,
    plain,
    tied,
)


def stack(count: int, block: Block) -> tuple[LayerGroup, ...]:
    return (LayerGroup(count=count, blocks=(block,)),)


class OpenAIGPT(HuggingFaceConfig):
    """GPT-1: norms after the sums, none at the end."""

    vocab_size: Number
    n_positions: Number
    n_embd: Number
    n_layer: Number
    n_head: Number
    afn: Word = "gelu"
    tie_word_embeddings: Flag = True

    aliases: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "max_position_embeddings": "n_positions",
    }

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("n_embd", self.n_embd, "n_head", self.n_head)
        return self

    def architecture(self) -> Architecture:
        attention = Attention(
            n_heads=self.n_head, n_kv_heads=self.n_head, head_dim=self.n_embd // self.n_head, bias="all"
        )
        mlp = MLP(d_ff=4 * self.n_embd, activation=plain(self.afn), bias=True)
        return Architecture(
            d_model=self.n_embd,
            embedding=TokenEmbedding(vocab_size=self.vocab_size, positions="learned", n_positions=self.n_positions),
            groups=stack(self.n_layer, Block(sublayers=(attention, mlp), norm=LAYER, norms="post")),
            final_norm=None,
            head=tied(self.tie_word_embeddings),
        )


class GPT2(HuggingFaceConfig):
    """GPT-2; `add_cross_attention` is refused: nothing says how long the other sequence is."""

    vocab_size: Number
    n_positions: Number
    n_embd: Number
    n_layer: Number
    n_head: Number
    n_inner: NumberOrNone = None
    activation_function: Word = "gelu_new"
    add_cross_attention: Literal[False] = False
    tie_word_embeddings: Flag = True

    aliases: ClassVar[dict[str, str]] = {
        "hidden_size": "n_embd",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
        "max_position_embeddings": "n_positions",
    }

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("n_embd", self.n_embd, "n_head", self.n_head)
        return self

    def architecture(self) -> Architecture:
        attention = Attention(
            n_heads=self.n_head, n_kv_heads=self.n_head, head_dim=self.n_embd // self.n_head, bias="all"
        )
        mlp = MLP(d_ff=self.n_inner or 4 * self.n_embd, activation=plain(self.activation_function), bias=True)
        return Architecture(
            d_model=self.n_embd,
            embedding=TokenEmbedding(vocab_size=self.vocab_size, positions="learned", n_positions=self.n_positions),
            groups=stack(self.n_layer, Block(sublayers=(attention, mlp), norm=LAYER)),
            final_norm=LAYER,
            head=tied(self.tie_word_embeddings),
        )


class OPT(HuggingFaceConfig):
    """OPT: GPT-3's shape with relu; positions start at the third row of their table; 350M embeds at half its width."""

    vocab_size: Number
    hidden_size: Number
    num_hidden_layers: Number
    num_attention_heads: Number
    ffn_dim: Number
    max_position_embeddings: Number
    word_embed_proj_dim: NumberOrNone = None
    do_layer_norm_before: Flag = True
    activation_function: Word = "relu"
    enable_bias: Flag = True
    layer_norm_elementwise_affine: Flag = True
    tie_word_embeddings: Flag = True

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        return self

    def architecture(self) -> Architecture:
        affine = self.layer_norm_elementwise_affine
        norm = Norm(kind="layer", gain=affine, bias=affine)
        attention = Attention(
            n_heads=self.num_attention_heads,
            n_kv_heads=self.num_attention_heads,
            head_dim=self.hidden_size // self.num_attention_heads,
            bias="all" if self.enable_bias else "none",
        )
        mlp = MLP(d_ff=self.ffn_dim, activation=plain(self.activation_function), bias=self.enable_bias)
        norms: Literal["pre", "post"] = "pre" if self.do_layer_norm_before else "post"
        width = None if self.word_embed_proj_dim == self.hidden_size else self.word_embed_proj_dim
        embedding = TokenEmbedding(
            vocab_size=self.vocab_size,
            width=width,
            positions="learned",
            n_positions=self.max_position_embeddings,
            unused_positions=2,
        )
        return Architecture(
            d_model=self.hidden_size,
            embedding=embedding,
            groups=stack(self.num_hidden_layers, Block(sublayers=(attention, mlp), norm=norm, norms=norms)),
            final_norm=norm if self.do_layer_norm_before else None,
            head=tied(self.tie_word_embeddings),
        )


class Bloom(HuggingFaceConfig):
    """Bloom: ALiBi, and a norm behind the embedding."""

    vocab_size: Number
    hidden_size: Number
    n_layer: Number
    n_head: Number
    tie_word_embeddings: Flag = True

    aliases: ClassVar[dict[str, str]] = {
        "n_embed": "hidden_size",
        "num_hidden_layers": "n_layer",
        "num_attention_heads": "n_head",
    }

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("hidden_size", self.hidden_size, "n_head", self.n_head)
        return self

    def architecture(self) -> Architecture:
        size = self.hidden_size // self.n_head
        attention = Attention(n_heads=self.n_head, n_kv_heads=self.n_head, head_dim=size, positions="alibi", bias="all")
        mlp = MLP(d_ff=4 * self.hidden_size, activation="gelu", bias=True)
        return Architecture(
            d_model=self.hidden_size,
            embedding=TokenEmbedding(vocab_size=self.vocab_size, norm=LAYER),
            groups=stack(self.n_layer, Block(sublayers=(attention, mlp), norm=LAYER)),
            final_norm=LAYER,
            head=tied(self.tie_word_embeddings),
        )
