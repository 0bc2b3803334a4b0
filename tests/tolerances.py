"""The one table of tolerances, by dtype, and the one way to compare tensors. CI never loosens it.

The error is relative to the largest element of what is wanted: max |got - want| / max |want|. A test that needs a wider
bound than its dtype's has found something; do not widen the table for it.
"""

from __future__ import annotations

import torch
from torch import Tensor

TOLERANCES = {
    torch.float64: 1e-9,
    torch.float32: 2e-5,  # one unit in the last place is 1.2e-7
    torch.bfloat16: 2e-2,  # one unit in the last place is 7.8e-3
}


def relative_error(got: Tensor, want: Tensor) -> float:
    """Largest difference over the largest wanted element; where all that is wanted is 0, the largest difference."""
    assert got.shape == want.shape, f"shapes differ: got {tuple(got.shape)}, want {tuple(want.shape)}"
    if want.numel() == 0:
        return 0.0
    got, want = got.detach().double(), want.detach().double()
    assert want.isfinite().all(), "what is wanted is not finite"
    assert got.isfinite().all(), "what we got is not finite"
    scale = want.abs().max().item()
    return (got - want).abs().max().item() / (scale or 1.0)


def assert_agrees(got: Tensor, want: Tensor, what: str = "tensor") -> None:
    """Equal shape and dtype, finite, and within the dtype's tolerance."""
    assert got.dtype == want.dtype, f"{what}: dtypes differ: got {got.dtype}, want {want.dtype}"
    error, allowed = relative_error(got, want), TOLERANCES[got.dtype]
    assert error <= allowed, f"{what}: relative error {error:.1e}, allowed {allowed:.0e} for {got.dtype}"
