"""A block is the formula, and not what the notes print; what is dropped is dropped where GPT-2 drops it."""

from __future__ import annotations

import pytest
import torch

from isostate.model import Decoder
from tests.mixers.cases import CASES
from tests.model.options import OPTIONS, B, T, config_of
from tests.tolerances import assert_agrees


@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_a_block_is_the_formula_and_not_the_notes(norm):
    model = Decoder(config_of(CASES[0], norm=norm)).double()
    block = model.blocks[0]
    z_BTD = torch.randn(B, T, CASES[0].d_model, dtype=torch.float64)
    got_BTD, _ = block(z_BTD, block.init_state(B), "chunked")
    attended_BTD = block.mixer(block.mixer_norm(z_BTD))[0]
    residual_BTD = z_BTD + attended_BTD
    assert_agrees(got_BTD, residual_BTD + block.mlp(block.mlp_norm(residual_BTD)))
    note_BTD = z_BTD + block.mlp(block.mlp_norm(residual_BTD))  # loses the mixer's residual
    bare_BTD = z_BTD + block.mlp(block.mlp_norm(z_BTD + block.mixer(z_BTD)[0]))  # eq. 16: the mixer's norm lost too
    parallel_BTD = z_BTD + block.mlp(z_BTD) + attended_BTD  # the note's parallel block, without its norm
    for wrong_BTD in (note_BTD, bare_BTD, parallel_BTD):
        assert (got_BTD - wrong_BTD).abs().max() > 1e-2


def test_a_block_without_an_mlp_is_a_norm_and_a_mixer():
    block = Decoder(config_of(CASES[0], **OPTIONS["no MLP"])).double().blocks[0]
    assert {name.split(".")[0] for name, _ in block.named_parameters()} == {"mixer_norm", "mixer"}
    z_BTD = torch.randn(B, T, CASES[0].d_model, dtype=torch.float64)
    got_BTD, _ = block(z_BTD, block.init_state(B), "chunked")
    assert_agrees(got_BTD, z_BTD + block.mixer(block.mixer_norm(z_BTD))[0])


@pytest.mark.parametrize("norm, usual", [("rms", 1e-6), ("layer", 1e-5)])
def test_an_epsilon_reaches_every_norm(norm, usual):
    for eps in (None, 1e-2):
        model = Decoder(config_of(CASES[0], norm=norm, norm_eps=eps))
        found = [module.eps for name, module in model.named_modules() if name.endswith("_norm")]
        assert found == [usual if eps is None else eps] * 5


@pytest.mark.parametrize("taps", [0, 3])
@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_a_parallel_block_reads_one_shared_norm(norm, taps):
    model = Decoder(config_of(CASES[0], norm=norm, block="parallel", conv_taps=taps)).double()
    block = model.blocks[0]
    if taps:
        block.convolution.taps_WD.data.normal_()
    z_BTD = torch.randn(B, T, CASES[0].d_model, dtype=torch.float64)
    got_BTD, _ = block(z_BTD, block.init_state(B), "chunked")
    x_BTD = block.mixer_norm(z_BTD)
    mixed_BTD = block.convolution(x_BTD, block.convolution.init_state(B))[0] if taps else x_BTD
    attended_BTD = block.mixer(mixed_BTD)[0]
    assert_agrees(got_BTD, z_BTD + block.mlp(x_BTD) + attended_BTD)
    note_BTD = z_BTD + block.mlp(z_BTD) + attended_BTD  # the note forgets the norm
    assert (got_BTD - note_BTD).abs().max() > 1e-2
    assert [name for name, _ in block.named_children() if "norm" in name] == ["mixer_norm"]


def test_what_is_added_to_the_residual_stream_is_dropped_and_nothing_else():
    model = Decoder(config_of(CASES[0], dropout=0.5)).double()
    block = model.blocks[0]
    z_BTD = torch.randn(B, T, CASES[0].d_model, dtype=torch.float64)
    torch.manual_seed(0)
    got_BTD, _ = block(z_BTD, block.init_state(B), "chunked")
    torch.manual_seed(0)
    masks = [torch.empty_like(z_BTD).bernoulli_(0.5) / 0.5 for _ in range(2)]
    residual_BTD = z_BTD + masks[0] * block.mixer(block.mixer_norm(z_BTD))[0]
    assert_agrees(got_BTD, residual_BTD + masks[1] * block.mlp(block.mlp_norm(residual_BTD)))
    tokens_BT = torch.zeros(B, T, dtype=torch.long)
    dropped_BTD = model._embed(tokens_BT, 0) / model.embedding(tokens_BT)
    assert set(dropped_BTD.unique().tolist()) == {0.0, 2.0}
    block.eval()
    kept_BTD, _ = block(z_BTD, block.init_state(B), "chunked")
    residual_BTD = z_BTD + block.mixer(block.mixer_norm(z_BTD))[0]
    assert_agrees(kept_BTD, residual_BTD + block.mlp(block.mlp_norm(residual_BTD)))
