"""Memory a rank: Korthikanti's figure 1 and table 2, ZeRO's table 1, and the formulas that they come from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from isostate.costs.pipeline import layers_kept
from isostate.costs.sharding import (
    MIXED,
    MIXED_16,
    SINGLE,
    Layout,
    ModelShape,
    layer_activation_bytes,
    rank_memory,
)
from tests.costs.torch_free import imports_without_torch

GIB = 2**30
CONTEXT, WORDS = 2048, 51200
# Name: layers, width, heads; tensor ranks, stages, pieces, micro-batch, batch; GiB as in FORMULAS section 2.
KORTHIKANTI = {
    "22B": ((48, 6144, 64), (8, 1, 1, 4, 4), (45.5625, 59.25, 9.5625)),
    "175B": ((96, 12288, 96), (8, 8, 3, 1, 64), (45.5625, 66.84375, 12.3515625)),
}


def gpt(n_layers: int, d_model: int, n_heads: int) -> ModelShape:
    return ModelShape.transformer("gpt", n_layers, d_model, n_heads, WORDS, dropout=True)


def test_it_loads_without_torch():
    assert imports_without_torch("sharding")


@pytest.mark.parametrize("name", KORTHIKANTI)
def test_korthikantis_figure_1(name):
    sizes, (tensor, pipeline, pieces, micro, batch), (states, plain, best) = KORTHIKANTI[name]
    shape = replace(gpt(*sizes), embedding_params=0, vocab_size=0)  # the figure counts layers alone
    layout = Layout(1, tensor, pipeline, micro_batch=micro, sequence_parallel=False, interleave=pieces)
    memory = rank_memory(shape, layout, batch, CONTEXT, MIXED, fused_attention=False)
    assert (memory.weights + memory.gradients + memory.optimizer) / GIB == states
    assert memory.activations / GIB == plain
    spared = replace(layout, sequence_parallel=True, recompute="selective")
    assert rank_memory(shape, spared, batch, CONTEXT, MIXED, fused_attention=False).activations / GIB == best
    # With 16-bit gradients (ZeRO's count) the states would be 16 N, not the figure's 18 N.
    assert rank_memory(shape, layout, batch, CONTEXT, MIXED_16).gradients == memory.gradients / 2


def sbh(shape: ModelShape, micro: int = 1) -> int:
    return CONTEXT * micro * shape.d_model


@pytest.mark.parametrize("t", [1, 2, 8])
def test_korthikantis_table_2(t):
    shape = gpt(48, 6144, 64)
    scores = 5 * shape.n_heads * CONTEXT / shape.d_model

    def times_sbh(**changes) -> float:
        layout = replace(Layout(tensor=t, sequence_parallel=False), **changes)
        return layer_activation_bytes(shape, layout, CONTEXT, 2) / sbh(shape)

    assert times_sbh() == pytest.approx(10 + 24 / t + scores / t)
    assert times_sbh(sequence_parallel=True) == pytest.approx((34 + scores) / t)
    assert times_sbh(recompute="selective") == pytest.approx(10 + 24 / t)
    assert times_sbh(sequence_parallel=True, recompute="selective") == pytest.approx(34 / t)
    assert times_sbh(recompute="full") == 2
    assert times_sbh(sequence_parallel=True, recompute="full") == pytest.approx(2 / t)


@pytest.mark.parametrize("p, linear, square", [(2, 34, 5), (4, 66, 9)])
def test_activations_of_a_block_in_either_precision(p, linear, square):
    # FORMULAS section 2: 34 BSD + 5 A B S^2 in 16 bits, 66 BSD + 9 A B S^2 in 32; ERRATA 1: the note's 15 is wrong.
    shape = gpt(1, 1024, 16)
    kept = layer_activation_bytes(shape, Layout(sequence_parallel=False), CONTEXT, p)
    assert kept == linear * sbh(shape) + square * 16 * CONTEXT**2
    assert kept != linear * sbh(shape) + 15 * 16 * CONTEXT**2


def test_without_dropout_neither_masks_nor_their_output_are_kept():
    plain = replace(gpt(1, 1024, 16), dropout=False)
    kept = layer_activation_bytes(plain, Layout(sequence_parallel=False), CONTEXT, 2)
    assert kept == 32 * sbh(plain) + 2 * 16 * CONTEXT**2
    fused = layer_activation_bytes(plain, Layout(sequence_parallel=False), CONTEXT, 2, fused_attention=True)
    assert fused == 32 * sbh(plain)


def test_gated_feed_forwards_and_shared_keys_and_values():
    # Llama-3 8B: inputs 4 D, q, k, v and readings, both halves, silu's result and their product, 2 bytes each.
    llama = ModelShape.transformer("llama-3-8b", 32, 4096, 32, 128256, n_kv_heads=8, d_ff=14336, gated=True, tied=False)
    kept = layer_activation_bytes(llama, Layout(sequence_parallel=False), 8192, 2, fused_attention=True)
    assert kept == 2 * 8192 * (4 * 4096 + 2 * 4096 + 2 * 1024 + 4 * 14336)
    assert llama.n_params == pytest.approx(8.03e9, rel=1e-3)


def test_context_parallelism_divides_everything_but_the_width_of_scores():
    shape = gpt(1, 1024, 16)
    whole, split = (layer_activation_bytes(shape, Layout(context=c), CONTEXT, 2) for c in (1, 4))
    assert split == whole / 4


@pytest.mark.parametrize("stage, gigabytes", [(0, 120.0), (1, 31.4), (2, 16.6), (3, 1.88)])
def test_zeros_figure_1(stage, gigabytes):
    # Rajbhandari et al. 2020: 7.5 billion parameters on 64 devices, 16 bytes each.
    shape = ModelShape("7.5B", 1, 1, 1, 1, 1, 0, 0, int(7.5e9), 0)
    memory = rank_memory(shape, Layout(data=64, zero_stage=stage), 64, 1, MIXED_16)
    states = memory.weights + memory.gradients + memory.optimizer
    gathered = 2 * 2 * 7.5e9 if stage == 3 else 0  # the only layer, gathered, twice
    assert (states - gathered) / 1e9 == pytest.approx(gigabytes, abs=0.05)


def test_the_three_precisions():
    assert (MIXED.param_bytes, MIXED_16.param_bytes, SINGLE.param_bytes) == (18, 16, 16)


def test_experts_are_spread_over_their_ranks_and_shared_by_the_rest():
    mixtral = ModelShape.transformer(
        "mixtral-8x7b", 32, 4096, 32, 32000, n_kv_heads=8, d_ff=0, gated=True, tied=False,
        n_experts=8, experts_per_token=2, d_expert=14336,
    )  # fmt: skip
    assert mixtral.n_params == pytest.approx(46.7e9, rel=1e-3)
    assert mixtral.active_params + 32000 * 4096 == pytest.approx(12.9e9, rel=2e-3)
    whole = rank_memory(mixtral, Layout(data=8), 8, 4096)
    spread = rank_memory(mixtral, Layout(data=8, expert=8), 8, 4096)
    routed = 32 * 8 * mixtral.expert_params
    assert whole.weights - spread.weights == 2 * routed * 7 / 8
    # With ZeRO the 8 ranks share what is not routed; an expert has its one rank.
    zero = rank_memory(mixtral, Layout(data=8, expert=8, zero_stage=1), 8, 4096)
    assert zero.optimizer == pytest.approx(12 * (mixtral.n_params - routed) / 8 + 12 * routed / 8)


def test_flops_of_a_gpt_are_the_published_formula():
    # FORMULAS section 2: 12 B D L S (S + (2 + E) D) + 6 B S D V.
    shape = gpt(48, 6144, 64)
    batch = 4
    expected = 12 * batch * 6144 * 48 * CONTEXT * (CONTEXT + 6 * 6144) + 6 * batch * CONTEXT * 6144 * WORDS
    assert shape.train_flops(batch * CONTEXT, CONTEXT) == expected


def test_the_last_stage_holds_the_logits():
    shape = gpt(8, 1024, 16)
    layout = Layout(pipeline=8, micro_batch=1)
    memory = rank_memory(shape, layout, 1, CONTEXT)  # one micro-batch: every stage keeps one layer
    one = layer_activation_bytes(shape, layout, CONTEXT, 2, fused_attention=True)
    assert memory.activations == one + 2 * 4 * CONTEXT * WORDS
    large = replace(layout, micro_batch=16)  # of many, the first stage keeps 8 and the last one, with its logits
    many = rank_memory(replace(shape, vocab_size=1000), large, 1024, CONTEXT)
    assert many.activations == layers_kept(8, 8, 64) * 16 * one
