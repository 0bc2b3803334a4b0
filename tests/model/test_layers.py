"""The layers around a mixer: torch's own norms and convolution, the published feed-forwards."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import conv1d, rms_norm

from isostate.model.layers import MLP_MATRICES, ShortConvolution, build_mlp, build_norm
from tests.tolerances import assert_agrees

B, T, D, W = 2, 9, 6, 4


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_norms_are_torchs():
    x_BTD = normal(B, T, D) + 3.0
    assert_agrees(build_norm("rms", D, 1e-6).double()(x_BTD), rms_norm(x_BTD, (D,), eps=1e-6))
    assert isinstance(build_norm("layer", D, 1e-5), torch.nn.LayerNorm)


PLAIN = {  # as published, apart from torch's own functions
    "gelu": lambda x: 0.5 * x * (1 + torch.erf(x / 2**0.5)),
    "gelu-tanh": lambda x: 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3))),
    "relu": lambda x: x * (x > 0),
    "squared-relu": lambda x: x**2 * (x > 0),
}
GATED = {
    "swiglu": lambda x: x / (1 + torch.exp(-x)),
    "geglu": PLAIN["gelu"],
    "geglu-tanh": PLAIN["gelu-tanh"],
    "reglu": PLAIN["relu"],
}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", MLP_MATRICES)
def test_feed_forwards_are_the_published_formulas(kind, bias):
    mlp, x_BTD = build_mlp(kind, D, 5, bias).double(), normal(B, T, D)
    for parameter in mlp.parameters():
        parameter.data.normal_()
    inner_BTF = x_BTD @ mlp.in_proj.weight.T + (mlp.in_proj.bias if bias else 0)
    if kind in GATED:
        inner_BTF = GATED[kind](inner_BTF[..., :5]) * inner_BTF[..., 5:]
    else:
        inner_BTF = PLAIN[kind](inner_BTF)
    assert_agrees(mlp(x_BTD), inner_BTF @ mlp.out_proj.weight.T + (mlp.out_proj.bias if bias else 0))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("kind", MLP_MATRICES)
def test_matrices_of_a_feed_forward_are_counted_as_built(kind, bias):
    parameters = list(build_mlp(kind, D, 5, bias).parameters())
    assert sum(p.numel() for p in parameters if p.ndim == 2) == MLP_MATRICES[kind] * D * 5
    assert all((p == 0).all() for p in parameters if p.ndim == 1), "biases start at 0"


def convolution(taps: int = W) -> ShortConvolution:
    layer = ShortConvolution(D, taps).double()
    with torch.no_grad():
        layer.taps_WD.copy_(normal(taps, D, seed=1))
    return layer


@pytest.mark.parametrize("taps", [2, 4, 12])
def test_the_short_convolution_is_a_causal_depthwise_one(taps):
    layer, x_BTD = convolution(taps), normal(B, T, D).requires_grad_()
    y_BTD, _ = layer(x_BTD, layer.init_state(B))
    padded_BDS = torch.nn.functional.pad(x_BTD.mT, (taps - 1, 0))
    want_BTD = conv1d(padded_BDS, layer.taps_WD.T.unsqueeze(1), groups=D).mT
    assert_agrees(y_BTD, want_BTD)
    weights = normal(B, T, D, seed=2)
    leaves = (x_BTD, layer.taps_WD)
    for ours, theirs in zip(
        torch.autograd.grad((weights * y_BTD).sum(), leaves),
        torch.autograd.grad((weights * want_BTD).sum(), leaves),
        strict=True,
    ):
        assert_agrees(ours, theirs, "gradient")


def test_it_starts_as_the_identity():
    layer = ShortConvolution(D, W)
    x_BTD = torch.randn(B, T, D)
    assert torch.equal(layer(x_BTD, layer.init_state(B))[0], x_BTD)


@pytest.mark.parametrize("cut", range(1, T))
def test_its_state_carries_the_last_inputs_and_their_gradient_over_any_cut(cut):
    layer, x_BTD = convolution(), normal(B, T, D).requires_grad_()
    whole_BTD, end = layer(x_BTD, layer.init_state(B))
    first_BTD, state = layer(x_BTD[:, :cut], layer.init_state(B))
    second_BTD, last = layer(x_BTD[:, cut:], state)
    pieces_BTD = torch.cat([first_BTD, second_BTD], 1)
    assert_agrees(pieces_BTD, whole_BTD)
    assert torch.equal(last.past_BWD, end.past_BWD)
    assert torch.equal(end.past_BWD, x_BTD[:, -(W - 1) :])
    weights = normal(B, T, D, seed=2)
    (ours,), (theirs,) = (torch.autograd.grad((weights * y).sum(), x_BTD) for y in (pieces_BTD, whole_BTD))
    assert_agrees(ours, theirs, "gradient")


def test_its_state_is_one_input_less_than_its_taps():
    assert ShortConvolution(D, W).init_state(B).numel == B * (W - 1) * D
