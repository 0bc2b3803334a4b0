"""A block's step: every activation and norm has its operation in place."""

from __future__ import annotations

import pytest
import torch

from isostate.model.block_step import IN_PLACE, feed_forward, norm
from isostate.model.layers import GATED, PLAIN, build_mlp, build_norm
from tests.tolerances import assert_agrees


def normal(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_every_activation_has_one():
    assert IN_PLACE.keys() == {*PLAIN.values(), *GATED.values()}


@pytest.mark.parametrize("kind", [*PLAIN, *GATED])
@torch.no_grad()
def test_a_feed_forward_is_the_layer(kind):
    mlp, x_BD, y_BD = build_mlp(kind, 6, 9, bias=True).double(), normal(2, 6), torch.empty(2, 6, dtype=torch.float64)
    for call in feed_forward(mlp, x_BD, y_BD):
        call()
    assert_agrees(y_BD, mlp(x_BD))


@pytest.mark.parametrize("kind", ["rms", "layer"])
@torch.no_grad()
def test_a_norm_is_the_layer(kind):
    layer, x_BD, y_BD = build_norm(kind, 6, 1e-4).double(), normal(2, 6), torch.empty(2, 6, dtype=torch.float64)
    for parameter in layer.parameters():
        parameter.copy_(normal(6))
    for call in norm(layer, x_BD, y_BD):
        call()
    assert_agrees(y_BD, layer(x_BD))
