"""Mamba, Mamba-2 and RWKV-4 in the file types of Hugging Face."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from isostate.costs.architecture import Architecture, Block, LayerGroup, TokenEmbedding
from isostate.costs.huggingface.keys import LAYER, RMS, Flag, HuggingFaceConfig, Number, NumberOrNone, tied
from isostate.costs.recurrent import RWKV4, Mamba, Mamba2, RWKV4ChannelMix


class MambaFile(HuggingFaceConfig):
    """Mamba; `time_step_rank` left out or "auto" is a sixteenth of the width, rounded up."""

    vocab_size: Number
    hidden_size: Number
    num_hidden_layers: Number
    state_size: Number = 16
    expand: Number = 2
    conv_kernel: Number = 4
    time_step_rank: Number | Literal["auto"] = "auto"
    use_bias: Flag = False
    use_conv_bias: Flag = True
    tie_word_embeddings: Flag = True

    def architecture(self) -> Architecture:
        mamba = Mamba(
            d_inner=self.expand * self.hidden_size,
            d_state=self.state_size,
            conv_taps=self.conv_kernel,
            dt_rank=-(-self.hidden_size // 16) if self.time_step_rank == "auto" else self.time_step_rank,
            bias=self.use_bias,
            conv_bias=self.use_conv_bias,
        )
        return Architecture(
            d_model=self.hidden_size,
            embedding=TokenEmbedding(vocab_size=self.vocab_size),
            groups=(LayerGroup(count=self.num_hidden_layers, blocks=(Block(sublayers=(mamba,), norm=RMS),)),),
            final_norm=RMS,
            head=tied(self.tie_word_embeddings),
        )


class Mamba2File(HuggingFaceConfig):
    """Mamba-2; heads times their size must be `expand` times the width."""

    vocab_size: Number
    hidden_size: Number
    num_hidden_layers: Number
    num_heads: Number
    head_dim: Number
    state_size: Number = 128
    expand: Number = 2
    n_groups: Number = 8
    conv_kernel: Number = 4
    chunk_size: Number = 256
    use_bias: Flag = False
    use_conv_bias: Flag = True
    tie_word_embeddings: Flag = False

    @model_validator(mode="after")
    def _heads_fill_the_width(self) -> Self:
        wide, given = self.expand * self.hidden_size, self.num_heads * self.head_dim
        if wide != given:
            raise ValueError(f"num_heads * head_dim = {given}: must be expand * hidden_size = {wide}")
        if self.num_heads % self.n_groups:
            raise ValueError(f"n_groups = {self.n_groups}: must divide num_heads = {self.num_heads}")
        return self

    def architecture(self) -> Architecture:
        mamba2 = Mamba2(
            n_heads=self.num_heads,
            head_dim=self.head_dim,
            d_state=self.state_size,
            n_groups=self.n_groups,
            conv_taps=self.conv_kernel,
            chunk=self.chunk_size,
            bias=self.use_bias,
            conv_bias=self.use_conv_bias,
        )
        return Architecture(
            d_model=self.hidden_size,
            embedding=TokenEmbedding(vocab_size=self.vocab_size),
            groups=(LayerGroup(count=self.num_hidden_layers, blocks=(Block(sublayers=(mamba2,), norm=RMS),)),),
            final_norm=RMS,
            head=tied(self.tie_word_embeddings),
        )


class RWKVFile(HuggingFaceConfig):
    """RWKV-4; its first block has one norm more, behind the embedding."""

    vocab_size: Number
    hidden_size: Number
    num_hidden_layers: Number
    attention_hidden_size: NumberOrNone = None
    intermediate_size: NumberOrNone = None
    tie_word_embeddings: Flag = False

    def architecture(self) -> Architecture:
        time_mix = RWKV4(d_attention=self.attention_hidden_size or self.hidden_size)
        channel_mix = RWKV4ChannelMix(d_ff=self.intermediate_size or 4 * self.hidden_size)
        block = Block(sublayers=(time_mix, channel_mix), norm=LAYER)
        return Architecture(
            d_model=self.hidden_size,
            embedding=TokenEmbedding(vocab_size=self.vocab_size, norm=LAYER),
            groups=(LayerGroup(count=self.num_hidden_layers, blocks=(block,)),),
            final_norm=LAYER,
            head=tied(self.tie_word_embeddings),
        )
