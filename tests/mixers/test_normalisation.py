"""Root-mean-square normalisation: torch's own formula, with gradients that finite differences confirm."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers.normalisation import EPS, rms_norm
from tests.tolerances import assert_agrees


@pytest.mark.parametrize("shape", [(7,), (3, 7), (2, 3, 4, 6)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_is_torchs_formula_forward_and_backward(shape, dtype):
    x, gain = torch.randn(shape, dtype=dtype, requires_grad=True), torch.randn(shape[-1], dtype=dtype)
    gain.requires_grad_()
    weights = torch.randn(shape, dtype=dtype)
    got, want = rms_norm(x, gain), torch.nn.functional.rms_norm(x, shape[-1:], gain, eps=EPS)
    assert_agrees(got, want, "value")
    for name, ours, theirs in zip(
        ("x", "gain"),
        torch.autograd.grad((weights * got).sum(), (x, gain)),
        torch.autograd.grad((weights * want).sum(), (x, gain)),
        strict=True,
    ):
        assert_agrees(ours, theirs, f"gradient of {name}")


def test_strided_heads_have_the_gradients_of_contiguous_ones():
    x = torch.randn(2, 3, 4, 6, dtype=torch.float64).transpose(1, 2)[..., ::2].requires_grad_()
    assert not x.is_contiguous()
    assert torch.autograd.gradcheck(rms_norm, (x, torch.randn(3, dtype=torch.float64, requires_grad=True)))


def test_a_row_of_zeros_is_zero_and_has_a_finite_gradient():
    x = torch.zeros(2, 5, requires_grad=True)
    y = rms_norm(x, torch.ones(5))
    y.sum().backward()
    assert y.eq(0).all()
    assert x.grad.isfinite().all()
