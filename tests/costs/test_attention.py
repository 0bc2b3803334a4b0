"""Attention by formula: caches of every kind, the published ones too; cross attention against torch's own."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from isostate.config import UserError
from isostate.costs.attention import Attention, CrossAttention, LatentAttention
from isostate.costs.formula import count_params, forward_cost_of, operators, state_growth, state_size_of
from isostate.costs.preset_table import find_preset
from isostate.costs.sublayer import Run
from tests.costs.architectures import LAYER, gpt, stack

KV_BYTES_A_TOKEN = {
    "gpt-3-175b": 4_718_592,
    "llama-2-7b": 524_288,
    "llama-2-13b": 819_200,
    "llama-2-34b": 196_608,
    "llama-2-70b": 327_680,
}


@pytest.mark.parametrize("name, kv_bytes", KV_BYTES_A_TOKEN.items(), ids=list(KV_BYTES_A_TOKEN))
def test_kv_bytes_a_token_are_those_of_formulas_section_2(name, kv_bytes):
    assert state_growth(find_preset(name).architecture, state_bits=16) == kv_bytes


def test_gpt_3s_cache_of_2048_tokens_is_9_66_gb_and_not_the_notes_5_6():
    cache = state_size_of(find_preset("gpt-3-175b").architecture, 2048).state_bytes
    assert cache == 9_663_676_416
    assert round(cache / 1e9, 2) == 9.66
    assert round(cache / 1e9, 1) != 5.6


def test_llama_2_34b_saves_8_times_and_not_the_notes_5():
    grouped = find_preset("llama-2-34b").architecture
    all_heads = gpt(48, 8192, 64, 32_000)
    assert state_growth(all_heads) == 8 * state_growth(grouped)
    assert state_growth(all_heads) != 5 * state_growth(grouped)


def test_llama_2_shares_keys_and_values_in_34b_and_70b_alone():
    shared = {name: find_preset(name).architecture.attentions[0] for name in KV_BYTES_A_TOKEN if "llama" in name}
    assert {name for name, one in shared.items() if one.n_kv_heads == 8} == {"llama-2-34b", "llama-2-70b"}


def test_a_52b_model_of_64_layers_and_width_8192_is_that_of_formulas_section_2():
    model = gpt(64, 8192, 64, 1)
    parts = count_params(model).parts
    assert parts["attention"] + parts["mlp"] == 51_539_607_552
    assert state_growth(model) == 2_097_152


def test_a_window_keeps_its_last_keys_and_values_and_then_grows_no_more():
    model = gpt(12, 768, 12, 50_257, window=1024)
    assert state_size_of(model, 1024).elements == 18_874_368  # FORMULAS section 1.4
    assert state_size_of(model, 4096).elements == 18_874_368
    assert state_size_of(model, 1000).elements == 1000 * 2 * 12 * 768
    assert state_growth(model, 1023) > state_growth(model, 1024) == 0


def test_mistrals_window_of_4096_is_its_own_and_not_llamas():
    assert state_growth(find_preset("mistral-7b").architecture, 4096) == 0
    assert state_growth(find_preset("llama-2-7b").architecture, 4096) > 0


def test_latent_attention_keeps_one_vector_and_one_rotary_key_a_token():
    # DeepSeek-V2, table 1: (d_c + d_h^R) elements a token and layer, 4.5 d_h, as a cache of 2.25 groups.
    model = find_preset("deepseek-v2").architecture
    assert state_size_of(model, 1).parts == {"latent": 60 * 512, "keys": 60 * 64}
    assert 512 + 64 == 4.5 * 128
    all_heads = 2 * 128 * 128
    assert round(1 - (512 + 64) / all_heads, 2) == 0.98  # of a cache of all 128 heads
    assert state_growth(find_preset("deepseek-v3").architecture) == 70_272  # 61 layers, 2 bytes: 70 KB


def test_latent_decode_multiplies_the_cache_itself_at_the_same_flops_in_weights():
    latent = LatentAttention(n_heads=6, q_rank=28, kv_rank=20, nope_dim=12, rope_dim=4, value_dim=10)
    prefill = latent.mixing(48, Run(2, 32))[0]
    decode = latent.mixing(48, Run(2, 32, "decode"))[0]
    assert prefill.cost.matmul_flops == 2 * 2 * 32 * 32 * 6 * (12 + 4 + 10)
    assert decode.cost.matmul_flops == 2 * 2 * 32 * 6 * (20 + 4 + 20)
    assert decode.state_bytes == 2 * 2 * 32 * (20 + 4)
    in_weights = [
        sum(one.cost.matmul_flops for one in latent.operators(48, run) if one.weight_bytes)
        for run in (Run(2, 32), Run(64, 32, "decode"))
    ]
    assert in_weights[0] == in_weights[1]


def test_scores_of_encoders_are_all_counted_and_leave_no_state():
    encoder = Attention(n_heads=4, head_dim=8, causal=False)
    run = Run(1, 10, causal_halving=True)
    assert encoder.mixing(32, run)[0].cost.matmul_flops == 4 * 100 * 32
    assert encoder.mixing(32, run)[0].state_bytes == 0
    assert encoder.state_parts(32, 10) == {}


def test_transformer_xls_positions_add_a_projection_two_biases_and_one_product_a_pair():
    plain, relative = (Attention(n_heads=4, head_dim=8, positions=one) for one in ("none", "transformer-xl"))
    assert relative.params(32)["attention"] - plain.params(32)["attention"] == 32 * 32 + 2 * 32
    scores, distances = relative.mixing(32, Run(3, 10))
    assert 2 * scores.cost.matmul_flops == 3 * plain.mixing(32, Run(3, 10))[0].cost.matmul_flops
    assert distances.cost.matmul_flops == 2 * 10 * 32 * 32  # once for the batch
    assert relative.constant_inputs(32, Run(3, 10)) == 2 * 10 * 32 * 32


def test_a_decoder_with_cross_attention_has_the_parameters_of_torchs_layer():
    layer = torch.nn.TransformerDecoderLayer(24, 4, 40, device="meta")
    cross = {"kind": "cross", "n_heads": 4, "head_dim": 6, "memory_length": 9, "memory_width": 24, "bias": "all"}
    sublayers = [
        {"kind": "attention", "n_heads": 4, "head_dim": 6, "bias": "all"},
        cross,
        {"kind": "mlp", "d_ff": 40, "activation": "relu", "bias": True},
    ]
    groups = [{"count": 1, "blocks": [{"norm": LAYER, "sublayers": sublayers, "norms": "post"}]}]
    parts = count_params(stack(1, sublayers, 24, groups=groups, final_norm=None)).parts
    assert parts["attention"] + parts["mlp"] + parts["norm"] == sum(one.numel() for one in layer.parameters())


def test_cross_attention_makes_the_memorys_keys_once_and_finds_them_when_decoding():
    cross = CrossAttention(n_heads=4, n_kv_heads=2, head_dim=6, memory_length=9, memory_width=20)
    prefill = {one.name: one for one in cross.operators(24, Run(3, 5))}
    decode = {one.name: one for one in cross.operators(24, Run(3, 5, "decode"))}
    assert prefill["cross.kv"].cost.matmul_flops == 2 * 3 * 9 * 20 * 2 * 12
    assert "cross.kv" not in decode
    assert prefill["attention.scores"].cost.matmul_flops == 4 * 3 * 5 * 9 * 24
    assert decode["attention.scores"].state_bytes == 2 * 3 * 2 * 9 * 12
    assert cross.state_parts(24, 1000) == {"keys": 108, "values": 108}


def test_causal_halving_counts_only_pairs_that_the_mask_leaves():
    model = gpt(2, 32, 4, 50)
    whole, halved = (forward_cost_of(model, Run(1, 64, causal_halving=halving)) for halving in (False, True))
    assert whole.matmul_flops - halved.matmul_flops == 2 * 4 * 32 * (64 * 64 - 64 * 65 // 2)


def test_operators_of_decode_read_the_whole_cache_once():
    model = gpt(12, 768, 12, 50_257)
    read = sum(one.times * one.state_bytes for one in operators(model, Run(8, 1024, "decode")))
    assert read == 8 * state_size_of(model, 1024).state_bytes


def test_key_value_heads_must_divide():
    with pytest.raises(ValidationError, match="n_kv_heads = 3: must divide n_heads = 8"):
        Attention(n_heads=8, n_kv_heads=3, head_dim=4)
    with pytest.raises(UserError, match="n_kv_heads = 5: must divide n_heads = 4"):
        gpt(1, 32, 4, 10, n_kv_heads=5)
