"""Mamba, Mamba-2, RWKV-4: ranks and heads that follow from the width."""

from __future__ import annotations

from isostate.costs.huggingface.read import from_huggingface
from tests.costs.huggingface.cases import CASES
from tests.costs.huggingface.refusals import refusal


def test_mambas_rank_is_a_sixteenth_of_the_width_rounded_up_or_as_given():
    ranks = [
        from_huggingface(CASES["mamba"] | changes, "f").blocks()[0].sublayers[0].dt_rank
        for changes in ({"hidden_size": 48}, {"hidden_size": 50}, {"time_step_rank": "auto"}, {"time_step_rank": 5})
    ]
    assert ranks == [3, 4, 3, 5]
    assert "time_step_rank" in refusal(CASES["mamba"], time_step_rank="large")


def test_mamba_2s_heads_fill_the_expanded_width():
    says = "f: num_heads * head_dim = 80: must be expand * hidden_size = 96"
    assert refusal(CASES["mamba2"], num_heads=5, n_groups=1) == says
    assert refusal(CASES["mamba2"], n_groups=4) == "f: n_groups = 4: must divide num_heads = 6"


def test_rwkv_4s_widths_follow_from_its_own_and_its_embedding_is_normalised():
    values = {key: value for key, value in CASES["rwkv"].items() if key != "intermediate_size"}
    model = from_huggingface(values, "f")
    time_mix, channel_mix = model.blocks()[0].sublayers
    assert (time_mix.d_attention, channel_mix.d_ff) == (48, 4 * 48)
    assert model.embedding.norm is not None
