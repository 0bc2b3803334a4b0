"""DeepSeek V2 and V3: multi-head latent attention; dense layers first, then fine-grained experts and shared ones."""

from __future__ import annotations

from typing import ClassVar, Self

from pydantic import model_validator

from isostate.costs.architecture import Architecture, Block, TokenEmbedding
from isostate.costs.attention import LatentAttention
from isostate.costs.feedforward import MLP, MoE
from isostate.costs.huggingface.keys import (
    RMS,
    Flag,
    HuggingFaceConfig,
    Layers,
    Number,
    NumberOrNone,
    Word,
    Zero,
    gated,
    gather,
    tied,
)


class DeepseekLike(HuggingFaceConfig):
    """Abstract: what both share. Layers from `first_k_dense_replace` on have experts, every `moe_layer_freq`-th."""

    vocab_size: Number
    hidden_size: Number
    intermediate_size: Number
    moe_intermediate_size: Number
    num_hidden_layers: Layers
    num_attention_heads: Number
    q_lora_rank: NumberOrNone
    kv_lora_rank: Number
    qk_nope_head_dim: Number
    qk_rope_head_dim: Number
    v_head_dim: Number
    n_routed_experts: Number
    num_experts_per_tok: Number
    n_shared_experts: Zero | None
    first_k_dense_replace: Zero
    moe_layer_freq: Number = 1
    hidden_act: Word = "silu"
    attention_bias: Flag = False
    tie_word_embeddings: Flag = False

    router_bias: ClassVar[bool]
    left_out: ClassVar[str] = ""

    @model_validator(mode="after")
    def _experts_are_enough(self) -> Self:
        if self.num_experts_per_tok > self.n_routed_experts:
            raise ValueError(
                f"num_experts_per_tok = {self.num_experts_per_tok}: at most n_routed_experts = {self.n_routed_experts}"
            )
        return self

    def block(self, layer: int) -> Block:
        """Layer number `layer`, from 0."""
        attention = LatentAttention(
            n_heads=self.num_attention_heads,
            q_rank=self.q_lora_rank,
            kv_rank=self.kv_lora_rank,
            nope_dim=self.qk_nope_head_dim,
            rope_dim=self.qk_rope_head_dim,
            value_dim=self.v_head_dim,
            bias=self.attention_bias,
        )
        feed_forward: MLP | MoE = MLP(d_ff=self.intermediate_size, activation=gated(self.hidden_act))
        if layer >= self.first_k_dense_replace and layer % self.moe_layer_freq == 0:
            feed_forward = MoE(
                n_experts=self.n_routed_experts,
                top_k=self.num_experts_per_tok,
                d_ff=self.moe_intermediate_size,
                activation=gated(self.hidden_act),
                shared_d_ff=(self.n_shared_experts or 0) * self.moe_intermediate_size,
                router_bias=self.router_bias,
            )
        return Block(sublayers=(attention, feed_forward), norm=RMS)

    def architecture(self) -> Architecture:
        return Architecture(
            d_model=self.hidden_size,
            embedding=TokenEmbedding(vocab_size=self.vocab_size),
            groups=gather([self.block(layer) for layer in range(self.num_hidden_layers)]),
            final_norm=RMS,
            head=tied(self.tie_word_embeddings),
            left_out=self.left_out,
        )


class DeepseekV2(DeepseekLike):
    """DeepSeek-V2 and V2-Lite, which does not compress its queries."""

    router_bias: ClassVar[bool] = False


class DeepseekV3(DeepseekLike):
    """DeepSeek-V3 and R1: a balancing bias an expert."""

    router_bias: ClassVar[bool] = True
    left_out: ClassVar[str] = "the module that predicts a second token (14B, trained and published beside the model)"
