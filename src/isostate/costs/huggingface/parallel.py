"""Decoders with parallel sublayers and rotary positions: GPT-NeoX and Pythia, Phi, Falcon."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from isostate.costs.architecture import Architecture, Block, TokenEmbedding
from isostate.costs.attention import Attention, Positions
from isostate.costs.feedforward import MLP
from isostate.costs.huggingface.gpt import stack
from isostate.costs.huggingface.keys import (
    LAYER,
    Flag,
    HuggingFaceConfig,
    Number,
    NumberOrNone,
    Word,
    check_heads,
    check_kv_heads,
    plain,
    tied,
)


class GPTNeoX(HuggingFaceConfig):
    """GPT-NeoX and Pythia: parallel sublayers, each with its norm."""

    vocab_size: Number
    hidden_size: Number
    num_hidden_layers: Number
    num_attention_heads: Number
    intermediate_size: Number
    hidden_act: Word = "gelu"
    use_parallel_residual: Flag = True
    attention_bias: Flag = True
    tie_word_embeddings: Flag = False

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        return self

    def architecture(self) -> Architecture:
        attention = Attention(
            n_heads=self.num_attention_heads,
            n_kv_heads=self.num_attention_heads,
            head_dim=self.hidden_size // self.num_attention_heads,
            positions="rope",
            bias="all" if self.attention_bias else "none",
        )
        mlp = MLP(d_ff=self.intermediate_size, activation=plain(self.hidden_act), bias=True)
        block = Block(sublayers=(attention, mlp), norm=LAYER, parallel=self.use_parallel_residual)
        return Architecture(
            d_model=self.hidden_size,
            embedding=TokenEmbedding(vocab_size=self.vocab_size),
            groups=stack(self.num_hidden_layers, block),
            final_norm=LAYER,
            head=tied(self.tie_word_embeddings),
        )


class Phi(HuggingFaceConfig):
    """Phi 1 to 2: parallel sublayers on one norm, biases everywhere, the head's too."""

    vocab_size: Number
    hidden_size: Number
    intermediate_size: Number
    num_hidden_layers: Number
    num_attention_heads: Number
    num_key_value_heads: NumberOrNone = None
    hidden_act: Word = "gelu_new"
    qk_layernorm: Flag = False
    tie_word_embeddings: Flag = False

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        check_kv_heads("num_attention_heads", self.num_attention_heads, "num_key_value_heads", self.num_key_value_heads)
        return self

    def architecture(self) -> Architecture:
        attention = Attention(
            n_heads=self.num_attention_heads,
            n_kv_heads=self.num_key_value_heads or self.num_attention_heads,
            head_dim=self.hidden_size // self.num_attention_heads,
            positions="rope",
            bias="all",
            qk_norm="layer" if self.qk_layernorm else "none",
        )
        mlp = MLP(d_ff=self.intermediate_size, activation=plain(self.hidden_act), bias=True)
        block = Block(sublayers=(attention, mlp), norm=LAYER, norms="shared", parallel=True)
        return Architecture(
            d_model=self.hidden_size,
            embedding=TokenEmbedding(vocab_size=self.vocab_size),
            groups=stack(self.num_hidden_layers, block),
            final_norm=LAYER,
            head=tied(self.tie_word_embeddings, bias=True),
        )


class Falcon(HuggingFaceConfig):
    """Falcon: multi-query in 7B; grouped, with a norm for each sublayer, in the new decoder (40B, 180B)."""

    vocab_size: Number
    hidden_size: Number
    num_hidden_layers: Number
    num_attention_heads: Number
    num_kv_heads: NumberOrNone = None
    ffn_hidden_size: NumberOrNone = None
    num_ln_in_parallel_attn: Literal[1, 2] | None = None
    new_decoder_architecture: Flag = False
    multi_query: Flag = True
    parallel_attn: Flag = True
    alibi: Flag = False
    bias: Flag = False
    activation: Word = "gelu"
    tie_word_embeddings: Flag = True

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        check_heads("hidden_size", self.hidden_size, "num_attention_heads", self.num_attention_heads)
        if self.new_decoder_architecture:
            check_kv_heads("num_attention_heads", self.num_attention_heads, "num_kv_heads", self.num_kv_heads)
        return self

    def architecture(self) -> Architecture:
        n_kv_heads = 1 if self.multi_query else self.num_attention_heads
        if self.new_decoder_architecture:
            n_kv_heads = self.num_kv_heads or self.num_attention_heads
        positions: Positions = "alibi" if self.alibi else "rope"
        attention = Attention(
            n_heads=self.num_attention_heads,
            n_kv_heads=n_kv_heads,
            head_dim=self.hidden_size // self.num_attention_heads,
            positions=positions,
            bias="all" if self.bias else "none",
        )
        mlp = MLP(d_ff=self.ffn_hidden_size or 4 * self.hidden_size, activation=plain(self.activation), bias=self.bias)
        n_norms = self.num_ln_in_parallel_attn or (2 if self.new_decoder_architecture else 1)
        shared = self.parallel_attn and n_norms == 1
        block = Block(
            sublayers=(attention, mlp),
            norm=LAYER,
            norms="shared" if shared else "pre",
            parallel=self.parallel_attn or self.new_decoder_architecture,
        )
        return Architecture(
            d_model=self.hidden_size,
            embedding=TokenEmbedding(vocab_size=self.vocab_size),
            groups=stack(self.num_hidden_layers, block),
            final_norm=LAYER,
            head=tied(self.tie_word_embeddings),
        )
