"""The short causal convolution of each channel, over the last W positions.

    y_t = bias + sum_w taps_w x_{t - W + 1 + w}

Taps do not reach across the beginning of a document.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from isostate.mixers.contract import State
from isostate.mixers.documents import Documents


@dataclass(frozen=True)
class ConvolutionState(State):
    """The last W - 1 inputs, oldest first; zeros before the first token."""

    past_BWD: Tensor


def convolve(
    x_BSD: Tensor, taps_WD: Tensor, bias_D: Tensor | None = None, documents: Documents | None = None
) -> Tensor:
    """y_BTD of the last T of S = T + W - 1 positions; the first W - 1 are what is remembered."""
    begins_BT = None if documents is None else documents.begins_BT
    return _Convolution.apply(x_BSD, taps_WD, bias_D, begins_BT)


def remembered(x_BSD: Tensor, taps: int, documents: Documents | None) -> Tensor:
    """past_BWD: the last W - 1 inputs, of each row's last document where there are several."""
    past = taps - 1
    return x_BSD[:, x_BSD.shape[1] - past :] if documents is None else documents.last(x_BSD, past)


class _Convolution(torch.autograd.Function):
    """One pass a tap, forward and backward: torch's own depthwise convolution wants another layout and is slower."""

    @staticmethod
    def forward(ctx, x_BSD, taps_WD, bias_D, begins_BT):
        ctx.save_for_backward(x_BSD, taps_WD, begins_BT)
        W, T = taps_WD.shape[0], x_BSD.shape[1] - taps_WD.shape[0] + 1
        y_BTD = _within(x_BSD[:, :T], begins_BT, W - 1) * taps_WD[0]
        for w in range(1, W):
            y_BTD.addcmul_(_within(x_BSD[:, w : w + T], begins_BT, W - 1 - w), taps_WD[w])
        return y_BTD if bias_D is None else y_BTD.add_(bias_D)

    @staticmethod
    @once_differentiable
    def backward(ctx, dy_BTD):
        x_BSD, taps_WD, begins_BT = ctx.saved_tensors
        W, T = taps_WD.shape[0], dy_BTD.shape[1]
        dx_BSD = torch.zeros_like(x_BSD)
        dtaps_WD = torch.empty_like(taps_WD)
        for w in range(W):
            through_BTD = _within(dy_BTD, begins_BT, W - 1 - w)
            dx_BSD[:, w : w + T].addcmul_(through_BTD, taps_WD[w])
            dtaps_WD[w] = (through_BTD * x_BSD[:, w : w + T]).sum((0, 1))
        return dx_BSD, dtaps_WD, dy_BTD.sum((0, 1)) if ctx.needs_input_grad[2] else None, None


def _within(x_BTD: Tensor, begins_BT: Tensor | None, distance: int) -> Tensor:
    """Zero where the position `distance` earlier is of another document."""
    if begins_BT is None or not distance:
        return x_BTD
    place_T = torch.arange(x_BTD.shape[1], device=x_BTD.device)
    return x_BTD.masked_fill(((begins_BT >= 0) & (place_T - begins_BT < distance)).unsqueeze(-1), 0.0)
