"""A described model as the plain numbers that layouts split: one kind of block, attention and a feed-forward."""

from __future__ import annotations

from isostate.config import UserError
from isostate.costs.architecture import Architecture
from isostate.costs.attention import Attention
from isostate.costs.feedforward import GATED, MLP, MoE
from isostate.costs.formula import count_params
from isostate.costs.sharding import ModelShape

UNSEEN = {"window": None, "banded": False}  # what layouts do not look at: they count every pair of query and key


def shape_of(architecture: Architecture, name: str) -> ModelShape:
    """Raises UserError for what layouts cannot split: recurrences, latent attention, images, blocks that differ."""
    shapes = {
        tuple(one.model_copy(update=UNSEEN) if isinstance(one, Attention) else one for one in block.sublayers)
        for block, _ in architecture.counted_blocks()
    }
    kinds = [one.kind for one in next(iter(shapes))]
    if len(shapes) > 1 or architecture.tower is not None or kinds not in (["attention", "mlp"], ["attention", "moe"]):
        raise UserError(
            f"{name}: --fit-on splits models of equal blocks of attention and a feed-forward, or experts; "
            "this one has other parts"
        )
    (attention, forward), embedding = next(iter(shapes)), architecture.embedding
    assert isinstance(attention, Attention)
    assert isinstance(forward, (MLP, MoE))
    if embedding.kind != "tokens":
        raise UserError(f"{name}: --fit-on splits models of tokens; this one reads images")
    params, n_layers, width = count_params(architecture), architecture.n_blocks, architecture.d_model
    routed = isinstance(forward, MoE)
    expert = sum(one.n_params for one in forward.expert(width)) if isinstance(forward, MoE) else 0
    n_experts = forward.n_experts if isinstance(forward, MoE) else 0
    tables = params.parts["embedding"] + params.parts["head"]
    return ModelShape(
        name,
        n_layers,
        width,
        attention.n_heads,
        attention.n_kv_heads,
        attention.head_dim,
        forward.shared_d_ff if isinstance(forward, MoE) else forward.d_ff,
        embedding.vocab_size,
        (params.total - tables) // n_layers - n_experts * expert,
        tables,
        gated=forward.activation in GATED,
        n_experts=n_experts,
        experts_per_token=forward.top_k if isinstance(forward, MoE) else 0,
        d_expert=forward.d_ff if routed else 0,
        expert_params=expert,
    )
