"""The layers around a mixer: normalisation, feed-forward, the short causal convolution."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.functional import gelu, silu

from isostate.mixers.contract import State
from isostate.mixers.normalisation import rms_norm


class RMSNorm(nn.Module):
    """y = gain x / rms(x)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(d_model))

    def forward(self, x_BTD: Tensor) -> Tensor:
        return rms_norm(x_BTD, self.gain)


def build_norm(kind: str, d_model: int) -> nn.Module:
    return {"rms": RMSNorm, "layer": nn.LayerNorm}[kind](d_model)


class SwiGLU(nn.Module):
    """W2 (silu(W x) * V x) (Shazeer 2020); W and V in one matrix."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(d_model, 2 * d_ff, bias=False)
        self.out_proj = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        gate_BTF, up_BTF = self.in_proj(x_BTD).chunk(2, dim=-1)
        return self.out_proj(silu(gate_BTF) * up_BTF)


class GELU(nn.Module):
    """W2 gelu(W1 x), the exact gelu."""

    def __init__(self, d_model: int, d_ff: int) -> None:
        super().__init__()
        self.in_proj = nn.Linear(d_model, d_ff, bias=False)
        self.out_proj = nn.Linear(d_ff, d_model, bias=False)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.out_proj(gelu(self.in_proj(x_BTD)))


MLPS = {"swiglu": SwiGLU, "gelu": GELU}
MLP_MATRICES = {"swiglu": 3, "gelu": 2}  # matrices of d_model x d_ff, both projections together


@dataclass(frozen=True)
class ConvolutionState(State):
    """The last W - 1 inputs, oldest first; zeros before the first token."""

    past_BWD: Tensor


class ShortConvolution(nn.Module):
    """Depthwise causal convolution over W taps: y_t = sum_w taps_w x_{t - W + 1 + w}. Starts as the identity."""

    def __init__(self, d_model: int, taps: int) -> None:
        super().__init__()
        taps_WD = torch.zeros(taps, d_model)
        taps_WD[-1] = 1.0
        self.taps_WD = nn.Parameter(taps_WD)

    def init_state(self, batch: int) -> ConvolutionState:
        taps, d_model = self.taps_WD.shape
        return ConvolutionState(self.taps_WD.new_zeros(batch, taps - 1, d_model))

    def forward(self, x_BTD: Tensor, state: ConvolutionState) -> tuple[Tensor, ConvolutionState]:
        x_BSD = torch.cat([state.past_BWD, x_BTD], dim=1)
        y_BTD = _Convolution.apply(x_BSD, self.taps_WD)
        return y_BTD, ConvolutionState(x_BSD[:, x_BTD.shape[1] :])


class _Convolution(torch.autograd.Function):
    """One pass a tap, forward and backward: torch's own depthwise convolution wants another layout and is slower."""

    @staticmethod
    def forward(ctx, x_BSD, taps_WD):
        ctx.save_for_backward(x_BSD, taps_WD)
        W, T = taps_WD.shape[0], x_BSD.shape[1] - taps_WD.shape[0] + 1
        y_BTD = x_BSD[:, :T] * taps_WD[0]
        for w in range(1, W):
            y_BTD.addcmul_(x_BSD[:, w : w + T], taps_WD[w])
        return y_BTD

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
        return dx_BSD, dtaps_WD
