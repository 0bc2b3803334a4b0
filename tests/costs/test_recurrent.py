"""Mamba, Mamba-2 and RWKV-4 by formula: published states, and the chunked scan against one written out in torch."""

from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from isostate.costs.counting import matmul_flops
from isostate.costs.formula import count_params, forward_cost_of, state_growth, state_size_of
from isostate.costs.preset_table import find_preset
from isostate.costs.recurrent import RWKV4, Mamba, Mamba2, RWKV4ChannelMix
from isostate.costs.sublayer import Run
from tests.costs.architectures import stack

GPT_2_SIZES = {"kind": "mamba", "d_inner": 1536, "d_state": 16, "conv_taps": 4, "dt_rank": 48}


def test_mamba_at_gpt_2s_size_keeps_294912_states():
    size = state_size_of(stack(12, [GPT_2_SIZES], 768), 1024)
    assert size.parts["matrix"] == 294_912  # FORMULAS section 1.4
    assert size.elements == 12 * 1536 * (16 + 3)  # what a token leaves to the next, as mixers/mamba.py holds it
    assert size.elements != 12 * 1536 * (16 + 4), "section 1.3 counts the place of the token's own input too"


def test_recurrent_states_do_not_grow():
    for name in ("mamba-2.8b", "mamba-2-2.7b", "rwkv-4-14b"):
        model = find_preset(name).architecture
        assert state_growth(model, 0) == state_growth(model, 10**6) == 0
        assert state_size_of(model, 1).elements > 0


def test_mamba_2_divides_its_heads_among_groups_and_does_not_multiply_its_state_by_them():
    one, two = (
        Mamba2(n_heads=8, head_dim=16, d_state=10, n_groups=groups).state_parts(64, 1)["matrix"] for groups in (1, 2)
    )
    assert one == two == 8 * 16 * 10
    assert two != 2 * 8 * 16 * 10  # the note's state


def test_mamba_2_projects_b_c_and_delta_from_the_blocks_input():
    mixer = Mamba2(n_heads=8, head_dim=16, d_state=10, n_groups=2)
    projection = mixer.linears(64)[0]
    assert projection.d_in == 64  # not d_inner = 128, as the notes have it
    assert projection.d_out == 2 * 128 + 2 * 2 * 10 + 8


def test_mamba_has_a_bias_of_delta_which_the_notes_forget():
    mixer = Mamba(d_inner=20, d_state=3, conv_taps=4, dt_rank=5)
    without = 10 * 40 + 20 * (5 + 6) + 5 * 20 + 20 * 10 + 20 * (4 + 1) + 20 * 3 + 20
    assert mixer.params(10)["ssm"] == without + 20


def chunked_scan(x_BNCHK, decay_BNHCC, b_BNCGR, c_BNCGR):
    """The chunked form of Dao and Gu 2024, listing 1: B and C as wide as their groups, decays already exponentiated."""
    heads = x_BNCHK.shape[3] // b_BNCGR.shape[3]
    scores_BNGCC = torch.einsum("bncgr,bnsgr->bngcs", c_BNCGR, b_BNCGR)
    weights_BNHCC = scores_BNGCC.repeat_interleave(heads, 2) * decay_BNHCC
    inside_BNCHK = torch.einsum("bnhcs,bnshk->bnchk", weights_BNHCC, x_BNCHK)
    b_BNCHR, c_BNCHR = b_BNCGR.repeat_interleave(heads, 3), c_BNCGR.repeat_interleave(heads, 3)
    states_BNHKR = torch.einsum("bnchk,bnchr->bnhkr", x_BNCHK, b_BNCHR).cumsum(1)
    return inside_BNCHK + torch.einsum("bnhkr,bnchr->bnchk", states_BNHKR, c_BNCHR)


@pytest.mark.parametrize("n_heads, n_groups, context, chunk", [(6, 1, 24, 8), (6, 3, 24, 12), (4, 4, 10, 16)])
def test_mamba_2s_products_are_those_of_its_chunked_form(n_heads, n_groups, context, chunk):
    mixer = Mamba2(n_heads=n_heads, head_dim=5, d_state=7, n_groups=n_groups, chunk=chunk)
    block = min(chunk, context)
    shape = (2, context // block, block)
    given = (
        torch.ones(*shape, n_heads, 5),
        torch.ones(2, shape[1], n_heads, block, block),
        torch.ones(*shape, n_groups, 7),
        torch.ones(*shape, n_groups, 7),
    )
    scan = next(one for one in mixer.mixing(16, Run(2, context)) if one.name == "mamba2.scan")
    assert scan.cost.matmul_flops == matmul_flops(chunked_scan, *given)


def test_a_last_chunk_is_padded_to_its_whole_size():
    mixer = Mamba2(n_heads=4, head_dim=5, d_state=7, chunk=8)
    flops = [sum(one.cost.matmul_flops for one in mixer.mixing(16, Run(1, context))) for context in (17, 24, 25)]
    assert flops[0] == flops[1] < flops[2]


def test_decoding_updates_the_state_element_by_element():
    mixer = Mamba2(n_heads=4, head_dim=5, d_state=7)
    scan = next(one for one in mixer.mixing(16, Run(3, 100, "decode")) if one.name == "mamba2.scan")
    assert (scan.cost.matmul_flops, scan.cost.other_flops) == (0, 3 * 5 * 4 * 5 * 7)
    assert scan.state_bytes == 3 * 2 * 2 * 4 * 5 * 7  # read and written, 2 bytes


def test_rwkv_4_carries_five_vectors_a_layer():
    mixers = [{"kind": "rwkv4", "d_attention": 32}, {"kind": "rwkv4-channel", "d_ff": 128}]
    size = state_size_of(stack(3, mixers, 32), 100)
    assert size.elements == 3 * 5 * 32  # as its own code keeps them: numerator, denominator, maximum, two last inputs


def test_rwkv_4s_flops_a_token_are_those_of_its_paper():
    # Peng et al. 2023, table 2: "FLOP per token", twice the weights of all matrices but the input table.
    published = {"169m": 2.613e8, "430m": 7.573e8, "1.5b": 2.823e9, "3b": 5.710e9, "7b": 1.437e10, "14b": 2.778e10}
    for name, printed in published.items():
        model = find_preset(f"rwkv-4-{name}").architecture
        assert forward_cost_of(model, Run(1, 1)).matmul_flops == pytest.approx(printed, rel=5e-4)


def test_the_sublayers_of_rwkv_4_say_where_their_parameters_stand():
    parts = count_params(find_preset("rwkv-4-169m").architecture).parts
    assert parts["ssm"] == 12 * sum(RWKV4(d_attention=768).params(768).values())
    assert parts["mlp"] == 12 * sum(RWKV4ChannelMix(d_ff=3072).params(768).values())


def test_groups_must_divide_the_heads():
    with pytest.raises(ValidationError, match="n_groups = 3: must divide n_heads = 8"):
        Mamba2(n_heads=8, head_dim=4, n_groups=3)
