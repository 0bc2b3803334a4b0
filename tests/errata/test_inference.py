"""The notes on decoding, against operators of whole models and against a decoder that runs."""

from __future__ import annotations

import pytest
import torch

from isostate.costs.formula import count_params, operators, state_growth
from isostate.costs.hardware_table import find_hardware
from isostate.costs.inference import decode_intensity
from isostate.costs.preset_table import find_preset
from isostate.costs.sublayer import Run
from isostate.model import Decoder, ModelConfig
from tests.costs.architectures import gpt

P = 2  # bytes of a weight and of a state's element


@pytest.mark.parametrize("n_heads, n_kv_heads", [(32, 32), (64, 8), (8, 1)])
def test_the_cache_outweighs_the_weights_from_6_widths_on_and_with_grouped_queries_later(n_heads, n_kv_heads):
    # The notes: p D L^2 weights, and so a crossover at B S = D. p L D^2: at (5 + Kv / A) D A / Kv, 6 D at Kv = A.
    width = 128 * n_heads
    model = gpt(10, width, n_heads, 1, n_kv_heads=n_kv_heads)
    crossover = P * count_params(model).non_embedding / state_growth(model, state_bits=16)
    assert crossover == (5 + n_kv_heads / n_heads) * width * n_heads / n_kv_heads
    assert crossover > 5 * width  # and not the width
    # 6 D (A / Kv), as ERRATA 28 has it, forgets that grouped queries also have fewer weights.
    assert (crossover == 6 * width * n_heads / n_kv_heads) == (n_kv_heads == n_heads)


@pytest.mark.parametrize("batch, context", [(1, 64), (16, 400), (64, 10**6)])
def test_decodes_intensity_is_that_of_its_operators_and_attention_never_falls_below_2_over_p(batch, context):
    width = 512
    listed = operators(gpt(4, width, 4, 1), Run(batch, context, "decode"))
    read = sum(one.times * (one.weight_bytes + one.state_bytes) for one in listed)
    weight_flops = sum(one.total.matmul_flops for one in listed if one.weight_bytes)
    all_flops = sum(one.total.matmul_flops for one in listed)
    ours = 2 / P * batch * width / (width + batch * context / 6)  # ERRATA 29
    assert weight_flops / read == pytest.approx(ours, rel=1e-3)
    assert weight_flops / read == pytest.approx(decode_intensity(batch, context, width, P), rel=1e-3)
    # With attention's 4 B S D a layer: S / 6 beside D, and long contexts tend to 2 / p, not to 12 D / (p S), to 0.
    assert all_flops / read == pytest.approx(ours * (1 + context / (6 * width)), rel=1e-3)
    assert all_flops / read > 0.999 * 2 / P
    assert all_flops / read != pytest.approx(batch * width / context, rel=0.5)  # the notes' B D / S


@pytest.mark.parametrize("weight_bits, same", [(32, False), (16, True), (8, False), (4, False)])
def test_flops_a_token_are_the_bytes_read_at_two_bytes_a_weight_alone(weight_bits, same):
    listed = operators(find_preset("llama-2-7b").architecture, Run(1, 1, "decode", weight_bits=weight_bits))
    linear = [one for one in listed if one.weight_bytes and one.cost.matmul_flops]
    read = sum(one.times * one.weight_bytes for one in linear)
    computed = sum(one.total.matmul_flops for one in linear)
    assert (read == pytest.approx(computed, rel=0.01)) == same
    assert computed / read == pytest.approx(2 * 8 / weight_bits, rel=0.01)


def test_llamas_tokens_a_second_on_apples_chips_are_of_one_byte_a_weight_too():
    # "With int4s" about 1 and 10 tokens/s on an M1 of 68.25 GB/s, 6 for 65B on an M2 Max: half of it each time.
    m1, m2_max = 68.25e9, find_hardware("m2-max").known("bandwidth_bytes_per_s")
    for bandwidth, billions, note in ((m1, 65, 1), (m1, 7, 10), (m2_max, 65, 6)):
        assert round(bandwidth / (billions * 1e9)) == note
        assert bandwidth / (billions * 0.5e9) > 1.9 * note


def decoder() -> Decoder:
    sizes = {"vocab_size": 11, "n_layers": 2, "d_model": 16, "mixer": {"kind": "softmax", "n_heads": 2}}
    torch.manual_seed(0)
    model = Decoder(ModelConfig.parse(sizes, "tiny")).double().eval()
    for parameter in model.parameters():
        parameter.data.normal_()
    return model


def losses(model: Decoder, tokens_T: torch.Tensor) -> torch.Tensor:
    return model.token_losses(tokens_T[None, :-1], tokens_T[None, 1:])[0].flatten()


def test_a_draft_is_finished_before_the_full_model_checks_it_whole():
    # "You run two models in parallel": but what is checked at a position depends on every draft before it.
    model = decoder()
    tokens_T = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6])  # three of a prefix, five drafts
    at_once = losses(model, tokens_T)
    one_by_one = torch.stack([losses(model, tokens_T[: end + 1])[-1] for end in range(1, 8)])
    torch.testing.assert_close(at_once, one_by_one, rtol=1e-12, atol=1e-12)  # one pass checks them all
    for draft in range(3, 7):
        changed = tokens_T.clone()
        changed[draft] = (changed[draft] + 1) % 11
        moved = (losses(model, changed) - at_once).abs()
        assert moved[draft:].min() > 1e-6, "later checks waited for this draft"
        assert moved[: draft - 1].max() == 0


@pytest.mark.parametrize("accept", [0.3, 0.8])
@pytest.mark.parametrize("drafts", [1, 4])
def test_the_expected_tokens_of_a_check_are_the_geometric_sum(accept, drafts):
    # Leviathan et al. 2023, eq. 1; n accepted drafts give n + 1 tokens, all of them one more from the full model.
    expected = sum((n + 1) * accept**n * (1 - accept) for n in range(drafts)) + (drafts + 1) * accept**drafts
    assert expected == pytest.approx((1 - accept ** (drafts + 1)) / (1 - accept), rel=1e-12)


def test_gopher_has_280_billion_parameters_and_not_260():
    total = count_params(find_preset("gopher-280b").architecture).total
    assert round(total / 1e9) == 280
