"""Root-mean-square normalisation over the last axis: y = gain x / sqrt(mean(x^2) + eps) (Zhang and Sennrich 2019).

Its backward is written by hand: autograd of the composite formula takes twice the passes over memory.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

EPS = 1e-6


def rms_norm(x_BTD: Tensor, gain_D: Tensor, eps: float = EPS) -> Tensor:
    """Over the last axis, whatever stands before it; per head too, x_BTHK with gain_K, or with a gain_HK of each."""
    return _RMSNorm.apply(x_BTD, gain_D, eps)


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gain, eps):
        x = x.contiguous()
        inverse = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = inverse.square_().mul_(1.0 / x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, gain, inverse)
        return (x * inverse).mul_(gain)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy):
        x, gain, inverse = ctx.saved_tensors
        dy = dy.contiguous()  # heads come transposed: one copy costs less than strided arithmetic
        unit = x * inverse
        dgain = (dy * unit).sum_to_size(gain.shape)
        dunit = dy * gain
        along = (dunit * unit).sum(-1, keepdim=True).mul_(-1.0 / x.shape[-1])
        return torch.addcmul(dunit, unit, along).mul_(inverse), dgain, None
