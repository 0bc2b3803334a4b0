"""The short convolution equals torch's own, gradients included, and each tap has its place."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv1d

from isostate.mixers.convolution import ConvolutionState, convolve
from tests.tolerances import assert_agrees

B, T, D, W = 2, 9, 5, 4


@pytest.mark.parametrize("biased", [False, True])
def test_it_is_torchs_depthwise_convolution_with_every_gradient(biased):
    x_BSD, taps_WD, bias_D, dy_BTD = (
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((B, T + W - 1, D), (W, D), (D,), (B, T, D))
    )
    bias = bias_D if biased else None
    inputs = [x_BSD, taps_WD, *([bias_D] if biased else [])]
    theirs_BTD = conv1d(x_BSD.mT, taps_WD.T.unsqueeze(1), bias, groups=D).mT
    ours_BTD = convolve(x_BSD, taps_WD, bias)
    assert_agrees(ours_BTD, theirs_BTD)
    wanted = torch.autograd.grad(theirs_BTD, inputs, dy_BTD)
    for got, want in zip(torch.autograd.grad(ours_BTD, inputs, dy_BTD), wanted, strict=True):
        assert_agrees(got, want)


def test_the_last_tap_is_that_of_the_position_itself():
    x_BSD = torch.arange(5.0)[None, :, None]
    assert convolve(x_BSD, torch.tensor([[0.0], [0.0], [1.0]])).flatten().tolist() == [2, 3, 4]
    assert convolve(x_BSD, torch.tensor([[1.0], [0.0], [0.0]])).flatten().tolist() == [0, 1, 2]


def test_what_is_remembered_counts_in_elements():
    assert ConvolutionState(torch.zeros(B, W - 1, D)).numel == B * (W - 1) * D
