"""The layers around a mixer: normalisation, feed-forward, the short causal convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, relu, silu

from isostate.mixers import Documents
from isostate.mixers.convolution import ConvolutionState, convolve, remembered
from isostate.mixers.normalisation import EPS, rms_norm
from isostate.mixers.projections import projection

Activation = Callable[[Tensor], Tensor]


class RMSNorm(nn.Module):
    """y = gain x / rms(x)."""

    def __init__(self, d_model: int, eps: float = EPS) -> None:
        super().__init__()
        self.eps = eps
        self.gain = nn.Parameter(torch.ones(d_model))

    def forward(self, x_BTD: Tensor) -> Tensor:
        return rms_norm(x_BTD, self.gain, self.eps)


NormKind = Literal["rms", "layer"]
NORM_EPS = {"rms": EPS, "layer": 1e-5}  # torch's own for layer norm


def build_norm(kind: NormKind, d_model: int, eps: float) -> nn.Module:
    return {"rms": RMSNorm, "layer": nn.LayerNorm}[kind](d_model, eps=eps)


class FeedForward(nn.Module):
    """W2 act(W1 x)."""

    def __init__(self, d_model: int, d_ff: int, activation: Activation, bias: bool = False) -> None:
        super().__init__()
        self.activation = activation
        self.in_proj = projection(d_model, d_ff, bias)
        self.out_proj = projection(d_ff, d_model, bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.out_proj(self.activation(self.in_proj(x_BTD)))


class GatedFeedForward(nn.Module):
    """W2 (act(W x) * V x) (Shazeer 2020); W and V in one matrix."""

    def __init__(self, d_model: int, d_ff: int, activation: Activation, bias: bool = False) -> None:
        super().__init__()
        self.activation = activation
        self.in_proj = projection(d_model, 2 * d_ff, bias)
        self.out_proj = projection(d_ff, d_model, bias)

    def forward(self, x_BTD: Tensor) -> Tensor:
        gate_BTF, up_BTF = self.in_proj(x_BTD).chunk(2, dim=-1)
        return self.out_proj(self.activation(gate_BTF) * up_BTF)


def gelu_tanh(x: Tensor) -> Tensor:
    """GPT-2's gelu: 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))."""
    return gelu(x, approximate="tanh")


def squared_relu(x: Tensor) -> Tensor:
    """relu(x)^2 (So et al. 2021, Primer)."""
    return relu(x).square()


MlpKind = Literal["swiglu", "geglu", "geglu-tanh", "reglu", "gelu", "gelu-tanh", "relu", "squared-relu", "none"]
PLAIN: dict[str, Activation] = {"gelu": gelu, "gelu-tanh": gelu_tanh, "relu": relu, "squared-relu": squared_relu}
GATED: dict[str, Activation] = {"swiglu": silu, "geglu": gelu, "geglu-tanh": gelu_tanh, "reglu": relu}
# Matrices of d_model x d_ff, both projections together.
MLP_MATRICES = {**dict.fromkeys(PLAIN, 2), **dict.fromkeys(GATED, 3)}


def build_mlp(kind: str, d_model: int, d_ff: int, bias: bool = False) -> FeedForward | GatedFeedForward:
    """The feed-forward of this kind; biases, where there are any, are both projections'."""
    if kind in GATED:
        return GatedFeedForward(d_model, d_ff, GATED[kind], bias)
    return FeedForward(d_model, d_ff, PLAIN[kind], bias)


class ShortConvolution(nn.Module):
    """Depthwise causal convolution over W taps: y_t = sum_w taps_w x_{t - W + 1 + w}. Starts as the identity."""

    own: ClassVar[frozenset[str]] = frozenset({"taps_WD"})  # neither drawn nor decayed

    def __init__(self, d_model: int, taps: int) -> None:
        super().__init__()
        taps_WD = torch.zeros(taps, d_model)
        taps_WD[-1] = 1.0
        self.taps_WD = nn.Parameter(taps_WD)

    def init_state(self, batch: int) -> ConvolutionState:
        taps, d_model = self.taps_WD.shape
        return ConvolutionState(self.taps_WD.new_zeros(batch, taps - 1, d_model))

    def forward(
        self, x_BTD: Tensor, state: ConvolutionState, documents: Documents | None = None
    ) -> tuple[Tensor, ConvolutionState]:
        x_BSD = torch.cat([state.past_BWD, x_BTD], dim=1)
        y_BTD = convolve(x_BSD, self.taps_WD, documents=documents)
        return y_BTD, ConvolutionState(remembered(x_BSD, len(self.taps_WD), documents))
