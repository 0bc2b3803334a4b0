"""The short causal convolution of each channel, over the last W positions.

y_t = bias + sum_w taps_w x_{t - W + 1 + w}
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from isostate.mixers.contract import State


@dataclass(frozen=True)
class ConvolutionState(State):
    """The last W - 1 inputs, oldest first; zeros before the first token."""

    past_BWD: Tensor


def convolve(x_BSD: Tensor, taps_WD: Tensor, bias_D: Tensor | None = None) -> Tensor:
    """y_BTD of the last T of S = T + W - 1 positions; the first W - 1 are what is remembered."""
    return _Convolution.apply(x_BSD, taps_WD, bias_D)


class _Convolution(torch.autograd.Function):
    """One pass a tap, forward and backward: torch's own depthwise convolution wants another layout and is slower."""

    @staticmethod
    def forward(ctx, x_BSD, taps_WD, bias_D):
        ctx.save_for_backward(x_BSD, taps_WD)
        W, T = taps_WD.shape[0], x_BSD.shape[1] - taps_WD.shape[0] + 1
        y_BTD = x_BSD[:, :T] * taps_WD[0]
        for w in range(1, W):
            y_BTD.addcmul_(x_BSD[:, w : w + T], taps_WD[w])
        return y_BTD if bias_D is None else y_BTD.add_(bias_D)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy_BTD):
        x_BSD, taps_WD = ctx.saved_tensors
        W, T = taps_WD.shape[0], dy_BTD.shape[1]
        dx_BSD = torch.zeros_like(x_BSD)
        dtaps_WD = torch.empty_like(taps_WD)
        for w in range(W):
            dx_BSD[:, w : w + T].addcmul_(dy_BTD, taps_WD[w])
            dtaps_WD[w] = (dy_BTD * x_BSD[:, w : w + T]).sum((0, 1))
        return dx_BSD, dtaps_WD, dy_BTD.sum((0, 1)) if ctx.needs_input_grad[2] else None
