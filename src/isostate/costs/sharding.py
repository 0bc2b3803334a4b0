"""Memory of one rank: weights, gradients, optimizer and activations of a model that is split over many.

FORMULAS section 2; Korthikanti et al. 2022 for activations, Rajbhandari et al. 2020 for ZeRO. A model is described in
plain numbers, so that any preset or config can fill them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from isostate.costs.pipeline import layers_kept

Recompute = Literal["none", "selective", "full"]


@dataclass(frozen=True)
class ModelShape:
    """A transformer in plain numbers; parameters of one layer, routed experts apart."""

    name: str
    n_layers: int
    d_model: int
    n_heads: int
    n_kv_heads: int
    head_dim: int
    d_ff: int  # of the feed-forward that every token passes; 0 where all are routed
    vocab_size: int
    layer_params: int  # without routed experts
    embedding_params: int  # token table, an untied head, learned positions
    gated: bool = False  # the feed-forward multiplies two halves: three matrices
    dropout: bool = False
    n_experts: int = 0
    experts_per_token: int = 0
    d_expert: int = 0
    expert_params: int = 0  # of one expert in one layer

    @staticmethod
    def transformer(
        name: str,
        n_layers: int,
        d_model: int,
        n_heads: int,
        vocab_size: int,
        *,
        n_kv_heads: int | None = None,
        head_dim: int | None = None,
        d_ff: int | None = None,
        gated: bool = False,
        tied: bool = True,
        dropout: bool = False,
        n_experts: int = 0,
        experts_per_token: int = 0,
        d_expert: int = 0,
    ) -> ModelShape:
        """Counts the parameters of the matrices, without biases and norms; `d_ff` is 4 widths if not told."""
        kv_heads, size = n_kv_heads or n_heads, head_dim or d_model // n_heads
        wide = 4 * d_model if d_ff is None else d_ff
        matrices = 3 if gated else 2
        attention = 2 * d_model * (n_heads + kv_heads) * size
        layer = attention + matrices * d_model * wide + n_experts * d_model  # the router's
        tables = (1 if tied else 2) * vocab_size * d_model
        expert = matrices * d_model * d_expert
        return ModelShape(
            *(name, n_layers, d_model, n_heads, kv_heads, size, wide, vocab_size, layer, tables, gated, dropout),
            *(n_experts, experts_per_token, d_expert, expert),
        )

    @property
    def n_params(self) -> int:
        return self.n_layers * (self.layer_params + self.n_experts * self.expert_params) + self.embedding_params

    @property
    def active_params(self) -> int:
        """Those that a token meets; the token table counts, as it is the head too, an untied one once."""
        table = self.vocab_size * self.d_model
        return self.n_layers * (self.layer_params + self.experts_per_token * self.expert_params) + table

    def layer_flops(self, tokens: int, context: int) -> float:
        """Matmul FLOPs of one layer's forward on `tokens` tokens of sequences of `context`; no causal halving."""
        params = self.layer_params + self.experts_per_token * self.expert_params
        return 2 * tokens * params + self.attention_flops(tokens, context)

    def attention_flops(self, tokens: int, context: int) -> float:
        return 4 * tokens * context * self.n_heads * self.head_dim

    def head_flops(self, tokens: int) -> float:
        return 2 * tokens * self.vocab_size * self.d_model

    def train_flops(self, tokens: int, context: int) -> float:
        """The model's: three forwards, recomputation left out."""
        return 3 * (self.n_layers * self.layer_flops(tokens, context) + self.head_flops(tokens))


@dataclass(frozen=True)
class Precision:
    """Bytes of a parameter's weight, gradient and optimizer state, and of an element of an activation."""

    weight: float
    gradient: float
    optimizer: float
    activation: float

    @property
    def param_bytes(self) -> float:
        return self.weight + self.gradient + self.optimizer


MIXED = Precision(2, 4, 12, 2)  # 18 N: float32 gradients, as Megatron accumulates them
MIXED_16 = Precision(2, 2, 12, 2)  # 16 N: 16-bit gradients, as ZeRO counts
SINGLE = Precision(4, 4, 8, 4)  # 16 N: float32 AdamW
PRECISIONS = {"mixed": MIXED, "mixed-16": MIXED_16, "fp32": SINGLE}


@dataclass(frozen=True)
class Layout:
    """How many ways each dimension is split; `data * tensor * pipeline * context` devices, experts among data ranks."""

    data: int = 1
    tensor: int = 1
    pipeline: int = 1
    context: int = 1
    expert: int = 1
    zero_stage: int = 0
    micro_batch: int = 1  # sequences at once on a rank
    recompute: Recompute = "none"
    sequence_parallel: bool = True
    interleave: int = 1  # pieces of the model a pipeline stage

    @property
    def n_devices(self) -> int:
        return self.data * self.tensor * self.pipeline * self.context


@dataclass(frozen=True)
class RankMemory:
    """Bytes of the fullest rank."""

    weights: float
    gradients: float
    optimizer: float
    activations: float

    @property
    def total(self) -> float:
        return self.weights + self.gradients + self.optimizer + self.activations


def layer_activation_bytes(
    shape: ModelShape, layout: Layout, context: int, bytes_per_element: float, *, fused_attention: bool = False
) -> float:
    """What one layer of a rank keeps of a micro-batch for its backward.

    Korthikanti's table 2 for a GPT of 4 widths in 16 bits: s b h (10 + 24/t + 5 a s / (h t)); with sequence
    parallelism the 10 is divided too; selective recomputation, or a fused kernel, drops the last term; full keeps the
    input, 2 s b h.
    """
    p, t = bytes_per_element, layout.tensor
    tokens = layout.micro_batch * context / layout.context
    along = t if layout.sequence_parallel else 1
    if layout.recompute == "full":
        return p * tokens * shape.d_model / along
    masks = 2 if shape.dropout else 0  # one byte an element, after the mixer and after the feed-forward
    everywhere = (4 * p + masks) * shape.d_model / along  # inputs of both norms and of both halves
    heads = 2 * (shape.n_heads + shape.n_kv_heads) * shape.head_dim  # q, k, v and the readings
    hidden = (4 if shape.gated else 2) * (shape.d_ff + shape.experts_per_token * shape.d_expert)
    kept = everywhere + p * (heads + hidden) / t
    if layout.recompute == "none" and not fused_attention:
        scores = 2 * p + 1 if shape.dropout else p
        kept += scores * shape.n_heads * context / t
    return tokens * kept


def rank_memory(
    shape: ModelShape,
    layout: Layout,
    batch: int,
    context: int,
    precision: Precision = MIXED,
    *,
    fused_attention: bool = True,
) -> RankMemory:
    """The fullest rank in training on `batch` sequences an update: of the first stage, or of the last with the head."""
    stage_layers = -(-shape.n_layers // layout.pipeline)
    # The first stage of a pipeline has the token table, the last one the head, a copy where they are tied.
    tables = shape.embedding_params if layout.pipeline == 1 else shape.vocab_size * shape.d_model
    dense = (stage_layers * shape.layer_params + tables) / layout.tensor
    routed = stage_layers * shape.n_experts * shape.expert_params / (layout.tensor * layout.expert)
    shards = layout.data * layout.context  # ranks that hold the same parameters
    spread = dense / shards + routed / (shards / layout.expert)
    held = dense + routed
    weights = precision.weight * (spread if layout.zero_stage == 3 else held)
    if layout.zero_stage == 3:  # the layer at work, gathered, and the next one on its way
        weights += 2 * precision.weight * held / stage_layers
    gradients = precision.gradient * (spread if layout.zero_stage >= 2 else held)
    optimizer = precision.optimizer * (spread if layout.zero_stage >= 1 else held)
    micro_batches = max(1, batch // (layout.data * layout.micro_batch))
    a_layer = layer_activation_bytes(shape, layout, context, precision.activation, fused_attention=fused_attention)
    kept = layers_kept(shape.n_layers, layout.pipeline, micro_batches, layout.interleave) * a_layer
    if layout.recompute == "full":  # one layer whole again while its backward runs
        whole = replace(layout, recompute="none")
        kept += layer_activation_bytes(shape, whole, context, precision.activation, fused_attention=fused_attention)
    logits = 4 * layout.micro_batch * context / layout.context * shape.vocab_size / layout.tensor
    last = layers_kept(shape.n_layers, layout.pipeline, micro_batches, 1, layout.pipeline - 1) * a_layer + 2 * logits
    return RankMemory(weights, gradients, optimizer, max(kept, last))
