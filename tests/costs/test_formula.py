"""Whole architectures by formula: the published formulas, FORMULAS section 2, and what is wrong about others."""

from __future__ import annotations

import time

import pytest

from isostate.config import UserError
from isostate.costs import forward_cost, train_step_cost
from isostate.costs.architecture import Architecture
from isostate.costs.attention import LatentAttention
from isostate.costs.formula import (
    PARTS,
    block_operators,
    count_params,
    forward_cost_of,
    operators,
    state_size_of,
    total_cost,
    train_cost_of,
    weight_state_ratio,
)
from isostate.costs.preset_table import find_preset, load_presets
from isostate.costs.sublayer import Run
from isostate.model import ModelConfig
from tests.costs.architectures import RMS, gpt, stack

LAYERS, WIDTH, HEADS, TOKENS, BATCH, CONTEXT = 6, 96, 4, 101, 3, 40
MAMBA = {"kind": "mamba", "d_inner": 64, "d_state": 8, "conv_taps": 4, "dt_rank": 2}


def test_a_gpts_parameters_are_the_published_formula():
    # FORMULAS section 2 without biases, and norms without parameters: (4 + 2E) L D^2 + V D.
    assert count_params(gpt(LAYERS, WIDTH, HEADS, TOKENS)).total == 12 * LAYERS * WIDTH**2 + TOKENS * WIDTH


@pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
def test_grouped_queries_parameters_are_the_published_formula(n_kv_heads):
    # (2 + 2 Kv / A + 2E) L D^2 + V D
    grouped = count_params(gpt(LAYERS, WIDTH, HEADS, TOKENS, n_kv_heads=n_kv_heads)).total
    assert grouped == (10 * HEADS + 2 * n_kv_heads) * LAYERS * WIDTH**2 // HEADS + TOKENS * WIDTH
    if n_kv_heads < HEADS:
        assert grouped != 12 * LAYERS * WIDTH**2 + TOKENS * WIDTH


def test_a_gpts_forward_and_training_flops_are_the_published_formulas():
    # 4 B S D (S + (2 + E) D) a block and 2 B S D V; 12 B D L S (S + (2 + E) D) + 6 B S D V
    model, run = gpt(LAYERS, WIDTH, HEADS, TOKENS), Run(BATCH, CONTEXT)
    block = 4 * BATCH * CONTEXT * WIDTH * (CONTEXT + 6 * WIDTH)
    head = 2 * BATCH * CONTEXT * WIDTH * TOKENS
    assert forward_cost_of(model, run).matmul_flops == LAYERS * block + head
    assert train_cost_of(model, run).matmul_flops == 3 * (LAYERS * block + head)
    assert total_cost(block_operators(model.blocks()[0], WIDTH, run)).matmul_flops == block


def test_attention_takes_4_s_d_flops_a_token_and_layer_and_not_the_notes_5_d():
    model = find_preset("llama-2-7b").architecture
    per_token = next(one for one in operators(model, Run(1, 4096, "decode")) if one.name == "attention.scores")
    assert per_token.cost.matmul_flops == 4 * 4096 * 4096
    assert per_token.cost.matmul_flops != 5 * 4096
    share = per_token.total.matmul_flops / forward_cost_of(model, Run(1, 4096, "decode")).matmul_flops
    assert share > 0.1  # and not 0.005 %


def test_a_gpt_block_takes_24_d2_flops_a_token_of_which_the_output_matrix_takes_2():
    listed = {one.name: one.cost.matmul_flops for one in block_operators(gpt(1, 96, 4, 1).blocks()[0], 96, Run(1, 1))}
    del listed["attention.scores"]
    assert sum(listed.values()) == 24 * 96**2
    assert listed["attention.qkv"] == 6 * 96**2
    assert listed["attention.out"] == 2 * 96**2  # the note takes it for softmax(Q K^T) V
    assert listed["mlp.up"] + listed["mlp.down"] == 16 * 96**2


def test_parameters_grow_with_the_depth_and_with_the_widths_square_and_not_the_other_way_round():
    one, deep, wide = (count_params(gpt(*sizes, 4, 1)).non_embedding for sizes in ((2, 96), (4, 96), (2, 192)))
    assert (deep, wide) == (2 * one, 4 * one)
    assert deep != 4 * one  # p D L^2 (ERRATA 28)


def test_a_65b_model_reads_32_5_gb_at_4_bits_and_not_the_notes_16_25():
    model = find_preset("llama-65b").architecture
    read = sum(one.times * one.weight_bytes for one in operators(model, Run(1, 1, "decode", weight_bits=4)))
    assert read / 1e9 == pytest.approx(32.5, abs=0.05)
    assert read / 1e9 != pytest.approx(16.25, rel=0.5)


def test_attention_weighs_a_sixth_of_a_gpt_blocks_weights_when_the_context_is_its_width():
    # S / 6D at E = 4 (ERRATA 39), and so a seventh of the whole block; at 10 D more than the weights.
    for widths in (1, 10):
        listed = block_operators(gpt(1, 96, 4, 1).blocks()[0], 96, Run(1, widths * 96))
        scores = sum(one.cost.matmul_flops for one in listed if one.name == "attention.scores")
        assert 6 * scores == widths * sum(one.cost.matmul_flops for one in listed if one.weight_bytes)
        assert scores / total_cost(listed).matmul_flops == pytest.approx(widths / (widths + 6))


def test_training_takes_about_6_flops_a_parameter_and_token():
    model = find_preset("llama-2-7b").architecture
    params = count_params(model)
    flops = train_cost_of(model, Run(1, 128)).matmul_flops
    assert 1.0 < flops / (6 * (params.total - params.parts["embedding"]) * 128) < 1.01


def test_checkpointing_a_gpts_block_computes_all_but_its_last_linear_again():
    # FORMULAS section 2: 4F - F(last linear), 3.6923 F for a GPT block (at S = D / 2); 4F reentrant or with dropout.
    model, run = gpt(LAYERS, 96, HEADS, 1), Run(1, 48)
    blocks = LAYERS * total_cost(block_operators(model.blocks()[0], 96, run)).matmul_flops
    plain = train_cost_of(model, run).matmul_flops

    def again(*args) -> float:
        return 3 + (train_cost_of(model, run, *args).matmul_flops - plain) / blocks

    assert again("block") == pytest.approx(3.6923, abs=5e-5)
    assert again("block-reentrant") == 4
    assert again("block", True) == 4
    assert again("none") == 3
    assert again("scores") == pytest.approx(3 + 48 / (48 + 6 * 96))


def test_every_way_of_training_is_refused_in_decode():
    with pytest.raises(UserError, match="training runs whole sequences"):
        train_cost_of(gpt(1, 8, 2, 10), Run(1, 8, "decode"))


def test_counts_agree_with_isostates_own_where_both_can_count():
    config = ModelConfig.parse(
        {
            "vocab_size": 311,
            "n_layers": 4,
            "d_model": 96,
            "d_ff": 200,
            "embeddings": "untied",
            "mixer": {"kind": "softmax", "n_heads": 6, "n_kv_heads": 2, "head_dim": 16, "positions": "rotary"},
        },
        "own",
    )
    sublayers = [
        {"kind": "attention", "n_heads": 6, "n_kv_heads": 2, "head_dim": 16, "positions": "rope"},
        {"kind": "mlp", "d_ff": 200, "activation": "swiglu"},
    ]
    model, run = stack(4, sublayers, 96, 311, head={"kind": "untied"}), Run(3, 64)
    assert count_params(model).to_param_count() == config.param_count()
    assert forward_cost_of(model, run).matmul_flops == forward_cost(config, 3, 64).matmul_flops
    assert train_cost_of(model, run).matmul_flops == train_step_cost(config, 3, 64).matmul_flops
    own = config.state_size(100)
    assert state_size_of(model, 100, 8 * own.bytes_per_element) == own


def test_parts_sum_to_the_total_and_embeddings_stand_apart():
    for name in ("gpt-2-124m", "mixtral-8x7b", "mamba-130m", "clip-b-32"):
        params = count_params(find_preset(name).architecture)
        assert tuple(params.parts) == PARTS
        assert sum(params.parts.values()) == params.total == params.to_param_count().total
    params = count_params(find_preset("llama-2-7b").architecture)
    assert params.total - params.non_embedding == 2 * 32_000 * 4096


def test_vits_patches_are_a_matrix_product_that_training_passes_twice():
    model = find_preset("vit-b-16").architecture
    run = Run(2, 197)
    patches = 2 * 2 * 196 * 768 * 768
    assert [one.cost.matmul_flops for one in operators(model, run) if one.name == "embedding.patches"] == [patches]
    forward = forward_cost_of(model, run).matmul_flops
    assert train_cost_of(model, run).matmul_flops == 3 * forward - patches
    assert round(forward / 2 / 2e9, 1) == 17.6  # Gmacs of an image; timm and others print 17.6


def test_two_towers_run_side_by_side_and_every_text_meets_every_image():
    model = find_preset("clip-b-32").architecture
    listed = operators(model, Run(3, 77))
    assert sum(one.name == "image.embedding.patches" for one in listed) == 1
    assert listed[-1].name == "similarity"
    assert listed[-1].cost.matmul_flops == 2 * 3 * 3 * 512
    image = forward_cost_of(model.tower, Run(3, 50))
    text = forward_cost_of(model.model_copy(update={"tower": None}), Run(3, 77))
    assert total_cost(listed[:-1]) == text + image


def test_decode_reads_every_weight_but_the_input_tables_once_a_step():
    for preset in load_presets().values():
        model = preset.architecture
        if not model.generates or preset.family in {"Gopher", "Chinchilla"}:  # these keep their distances projected
            continue
        params, table = count_params(model), model.embedding.n_table(model.d_model)
        read = sum(one.times * one.weight_bytes for one in operators(model, Run(10**6, 64, "decode", weight_bits=8)))
        looked_up = 10**6 * (model.embedding.width or model.d_model)  # rows of the table
        looked_up += model.d_model if model.embedding.positions == "learned" else 0
        inside = sum(one.n_weights for one in model.embedding.linears(model.d_model))
        multiplied = params.total - params.parts["embedding"] + (table if model.head.kind == "tied" else 0)
        assert read == looked_up + multiplied + inside, preset.name


def test_the_weight_state_ratio_prints_its_formula():
    ratio = weight_state_ratio(find_preset("gpt-2-124m").architecture, 1024)
    assert ratio.weight_flops == 2 * (12 * 12 * 768**2 + 50_257 * 768)
    assert ratio.state_flops == 12 * 4 * 768 * 1024
    assert round(ratio.value, 2) == 6.54
    assert "2 x weights that multiply a token" in ratio.formula
    assert "2 H (K + V) min(S, w)" in ratio.formula


def test_the_ratio_of_a_recurrent_state_does_not_fall_with_the_context():
    model = stack(4, [MAMBA], 32, 101)
    assert weight_state_ratio(model, 10) == weight_state_ratio(model, 10**6)
    assert weight_state_ratio(model, 10).state_flops == 4 * 64 * (7 * 8 + 2 * 4)
    softmax = gpt(4, 32, 4, 101)
    assert weight_state_ratio(softmax, 10).value == pytest.approx(10 * weight_state_ratio(softmax, 100).value)
    mixed = Architecture.parse(
        stack(1, [MAMBA], 32, 101).to_dict()
        | {
            "groups": [
                {"count": 3, "blocks": [{"norm": RMS, "sublayers": [MAMBA]}]},
                {
                    "count": 1,
                    "blocks": [{"norm": RMS, "sublayers": [{"kind": "attention", "n_heads": 4, "head_dim": 8}]}],
                },
            ]
        },
        "mixed",
    )
    assert {"mamba", "attention"} <= set(
        weight_state_ratio(mixed, 10).formula.replace(":", " ").replace("(", " ").split()
    )


def test_a_model_without_a_state_has_no_ratio():
    without = stack(1, [{"kind": "mlp", "d_ff": 8, "activation": "gelu"}], 8, 10)
    with pytest.raises(UserError, match="keeps no state"):
        weight_state_ratio(without, 10)


@pytest.mark.parametrize(
    "name, run, says",
    [
        ("gpt-2-124m", Run(1, 1025), "context = 1025: the model has 1024 learned positions"),
        ("vit-b-16", Run(1, 100), "context = 100: an image of this model has 197 positions"),
        ("vit-b-16", Run(1, 197, "decode"), "this model generates no tokens"),
        ("bert-base", Run(1, 100, "decode"), "this model generates no tokens"),
        ("llama-2-7b", Run(0, 100), "batch = 0, context = 100: must both be at least 1"),
    ],
)
def test_impossible_runs_are_refused_in_one_line(name, run, says):
    with pytest.raises(UserError) as caught:
        operators(find_preset(name).architecture, run)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_states_have_whole_bytes():
    with pytest.raises(UserError, match="state_bits = 4: must be a multiple of 8"):
        state_size_of(gpt(1, 8, 2, 10), 10, state_bits=4)


def test_every_preset_runs_in_every_phase_it_has():
    for preset in load_presets().values():
        model = preset.architecture
        context = model.fixed_context or preset.context
        forward, train = forward_cost_of(model, Run(1, context)), train_cost_of(model, Run(1, context))
        assert 0 < forward.matmul_flops < train.matmul_flops <= 3 * forward.matmul_flops
        if model.generates:
            decode = forward_cost_of(model, Run(1, context, "decode"))
            latent = any(isinstance(one, LatentAttention) for one in model.attentions)  # absorbed: more a token
            assert 0 < decode.matmul_flops <= (forward.matmul_flops // context) * (4 if latent else 1)


def test_ten_thousand_configurations_take_less_than_five_seconds():
    began = time.process_time()
    totals = set()
    for number in range(10_000):
        model = gpt(1 + number % 40, 64 * (1 + number // 40), 4, 50_257)
        totals.add(count_params(model).total)
        forward_cost_of(model, Run(1, 1024))
        state_size_of(model, 1024)
    assert time.process_time() - began < 5
    assert len(totals) == 10_000
