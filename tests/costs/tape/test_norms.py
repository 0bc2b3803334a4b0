"""Norms are told as they run, of rows and of heads, whatever the layout of the gradient that comes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from isostate.costs.tape.norms import layer_norm, rms_norm
from isostate.costs.tape.operations import convolution
from isostate.costs.tape.tape import Tape, Value
from isostate.mixers.normalisation import rms_norm as normalise
from isostate.model.layers import RMSNorm, ShortConvolution
from tests.costs.tape.running import assert_same, in_torch, on_tape

B, T, D = 3, 40, 16
NORMS = {"rms": (RMSNorm, rms_norm), "layer": (nn.LayerNorm, layer_norm)}


@pytest.mark.parametrize("kind", NORMS)
def test_a_norm_is_told_as_it_runs(kind):
    module, tell = NORMS[kind]
    layer = module(D)
    assert_same(on_tape(lambda t, x: tell(t, x, B * T, "norm"), B * T * D), in_torch(layer, (B, T, D), layer))


@pytest.mark.parametrize("batch", [1, B])
@pytest.mark.parametrize("kind", NORMS)
def test_a_gradient_that_is_part_of_something_wider_is_made_contiguous(kind, batch):
    module, tell = NORMS[kind]
    layer = nn.ModuleList([module(D), ShortConvolution(D, 3)])
    state = layer[1].init_state(batch)

    def told(tape: Tape, x: Value) -> Value:
        normed = tell(tape, x, batch * T, "norm")
        y, behind = convolution(tape, normed, batch, T, D, 3)
        tape.free(normed, behind)
        return y

    def forward(x: torch.Tensor) -> torch.Tensor:
        return layer[1](layer[0](x), state)[0]

    assert_same(on_tape(told, batch * T * D), in_torch(forward, (batch, T, D), layer))


def test_heads_are_copied_out_of_their_projection_first():
    gain = nn.Parameter(torch.ones(4))
    holder = nn.Module()
    holder.gain = gain

    def told(tape: Tape, x: Value) -> Value:
        # a third of the projection: of its own storage, as far as the gradient goes
        return rms_norm(tape, x, B * T * 2, "query norm", strided=True)

    def forward(x: torch.Tensor) -> torch.Tensor:
        return normalise(x.mT, gain)

    assert_same(on_tape(told, B * T * 8), in_torch(forward, (B, 4, T * 2), holder))
