"""Feed-forwards and experts by formula: gated or not, active or not, read or not."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from isostate.costs.feedforward import MLP, MoE
from isostate.costs.formula import count_params
from isostate.costs.preset_table import find_preset
from isostate.costs.sublayer import Run


def test_a_gated_feed_forward_has_three_matrices():
    assert MLP(d_ff=7, activation="gelu").params(5) == {"mlp": 2 * 35}
    assert MLP(d_ff=7, activation="gelu", bias=True).params(5) == {"mlp": 2 * 35 + 7 + 5}
    assert MLP(d_ff=7, activation="swiglu", bias=True).params(5) == {"mlp": 3 * 35 + 2 * 7 + 5}


def test_experts_count_all_of_them_and_compute_those_chosen():
    experts = MoE(n_experts=8, top_k=2, d_ff=7, activation="swiglu")
    assert experts.params(5) == {"router": 40, "experts": 8 * 105}
    assert experts.inactive_params(5) == 6 * 105
    flops = sum(one.cost.matmul_flops for one in experts.operators(5, Run(3, 4)))
    assert flops == 2 * 12 * (40 + 2 * 105)


def test_shared_experts_see_every_token_and_their_gate_is_one_row():
    experts = MoE(n_experts=8, top_k=2, d_ff=7, activation="swiglu", shared_d_ff=9, shared_gate=True)
    assert experts.params(5)["experts"] == 8 * 105 + 3 * 45 + 5
    assert experts.inactive_params(5) == 6 * 105
    flops = sum(one.cost.matmul_flops for one in experts.operators(5, Run(3, 4)))
    assert flops == 2 * 12 * (40 + 5 + 3 * 45 + 2 * 105)


def test_mixtral_activates_12_9_billion():
    # Mistral AI, Mixtral of experts, December 2023: "46.7B total parameters but only uses 12.9B parameters per token".
    params = count_params(find_preset("mixtral-8x7b").architecture)
    assert (round(params.total / 1e9, 1), round(params.active / 1e9, 1)) == (46.7, 12.9)


def test_deepseek_v3_activates_36_6_billion_without_its_input_table():
    model = find_preset("deepseek-v3").architecture
    params = count_params(model)
    assert params.active == 37_552_282_624 + 58 * 256  # counted from its files, and a balancing bias an expert
    assert round((params.active - params.parts["embedding"]) / 1e9, 1) == 36.6


def test_experts_read_are_those_chosen_by_one_token_and_all_by_many():
    experts = MoE(n_experts=8, top_k=2, d_ff=7, activation="swiglu")
    assert experts.experts_read(1) == 2
    assert experts.experts_read(2) == 4  # 3.5 expected
    assert experts.experts_read(1000) == 8
    read = {one.name: one.weight_bytes for one in experts.operators(5, Run(1, 10, "decode"))}
    assert read["experts.up"] + read["experts.down"] == 2 * 2 * 105


def test_impossible_experts_are_refused():
    with pytest.raises(ValidationError, match="top_k = 9: at most n_experts = 8"):
        MoE(n_experts=8, top_k=9, d_ff=7, activation="gelu")
    with pytest.raises(ValidationError, match="shared_d_ff = 0: a positive width, or 0 and no shared_gate"):
        MoE(n_experts=8, top_k=2, d_ff=7, activation="gelu", shared_gate=True)
