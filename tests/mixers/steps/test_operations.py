"""Each operation of a step is torch's, whether a kernel or torch does it, and allocates nothing."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from isostate.costs import counting
from isostate.mixers.convolution import convolve
from isostate.mixers.normalisation import rms_norm as ordinary_rms_norm
from isostate.mixers.steps import Position, operations
from tests.mixers.steps.running import both_precisions, by_kernel_and_by_torch
from tests.tolerances import assert_agrees


def normal(*shape, dtype=torch.float64):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape))).to(dtype)


def run(calls):
    for call in calls:
        call()
    assert counting.allocations(lambda: [call() for call in calls]) == []


@both_precisions
@by_kernel_and_by_torch
@pytest.mark.parametrize("batch", [1, 5, 13])
def test_linear_is_torchs_and_its_rows_may_lie_apart(batch, dtype, kernels, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", kernels)
    weight_VD, bias_V = normal(11, 45, dtype=dtype), normal(11, dtype=dtype)
    x_BD, y_BV = normal(batch, 60, dtype=dtype)[:, 7:52], torch.zeros(batch, 30, dtype=dtype)[:, 3:14]
    for bias in (None, bias_V):
        run(operations.linear(x_BD, weight_VD, bias, y_BV))
        assert_agrees(y_BV, F.linear(x_BD, weight_VD, bias))


@both_precisions
@by_kernel_and_by_torch
def test_norms_are_the_layers(dtype, kernels, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", kernels)
    x_MD, gain_HD, bias_D, y_MD = normal(6, 13, dtype=dtype), normal(2, 13, dtype=dtype), normal(13, dtype=dtype), None
    y_MD = torch.empty_like(x_MD)
    run(operations.rms_norm(x_MD, gain_HD[0], 1e-3, y_MD))
    assert_agrees(y_MD, ordinary_rms_norm(x_MD, gain_HD[0], 1e-3))
    assert (y_MD - ordinary_rms_norm(x_MD, gain_HD[0], 1e-1)).abs().max() > 1e-3, "eps counts"
    run(operations.rms_norm(x_MD, gain_HD, 1e-3, y_MD))
    assert_agrees(y_MD, ordinary_rms_norm(x_MD.view(3, 2, 13), gain_HD, 1e-3).view(6, 13), "gains that repeat")
    run(operations.layer_norm(x_MD, gain_HD[0], bias_D, 1e-3, y_MD))
    assert_agrees(y_MD, F.layer_norm(x_MD, (13,), gain_HD[0], bias_D, 1e-3))


def test_activations_are_in_place():
    x = normal(3, 4)
    for calls, want in [
        (operations.silu_, F.silu(x)),
        (operations.gelu_, F.gelu(x)),
        (operations.softplus_, F.softplus(x)),
        (lambda y: operations.gelu_(y, "tanh"), F.gelu(x, approximate="tanh")),
    ]:
        y = x.clone()
        for call in calls(y):
            call()
        assert torch.equal(y, want)


@by_kernel_and_by_torch
@pytest.mark.parametrize("taps", [2, 3, 4])
def test_a_convolution_turns_its_ring_from_any_position(taps, kernels, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", kernels)
    x_BSD, taps_WD, bias_D = normal(2, 9 + taps - 1, 5), normal(taps, 5), normal(5)
    want_BTD = convolve(x_BSD, taps_WD, bias_D)
    for start in (0, 1, 5):
        position = Position(x_BSD)
        position.now = start
        x_BD, y_BD = torch.empty(2, 5, dtype=torch.float64), torch.empty(2, 5, dtype=torch.float64)
        step = operations.ConvolutionStep(x_BD, taps_WD, bias_D, y_BD, position)
        step.load(x_BSD[:, : taps - 1])
        for t in range(9):
            x_BD.copy_(x_BSD[:, t + taps - 1])
            step.run()
            position.now += 1
            assert_agrees(y_BD, want_BTD[:, t])
        assert torch.equal(step.state().past_BWD, x_BSD[:, 9:])
