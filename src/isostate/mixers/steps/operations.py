"""The operations of a decode step, each a list of calls that read and write given tensors and allocate nothing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, silu, softplus

from isostate.mixers.convolution import ConvolutionState
from isostate.mixers.steps import kernel
from isostate.mixers.steps.contract import Call, Position, scalar

GELU: Callable[..., Tensor] = gelu  # both write where `out` says, which torch's stubs leave out
SOFTPLUS: Callable[..., Tensor] = softplus


def linear(x_BD: Tensor, weight_VD: Tensor, bias_V: Tensor | None, y_BV: Tensor) -> list[Call]:
    """y = W x + b; rows of x and y may lie apart."""
    batch, n_in = x_BD.shape
    tensors = [weight_VD, x_BD, y_BV] + ([] if bias_V is None else [bias_V])
    whole = weight_VD.is_contiguous() and x_BD.stride(1) == y_BV.stride(1) == 1
    if batch <= kernel.LARGEST_BATCH and whole and kernel.serves(*tensors):
        sizes = kernel.Linear(batch, n_in, weight_VD.shape[0], x_BD.stride(0), y_BV.stride(0), kernel.threads())
        return [kernel.bound("linear", sizes, weight_VD, bias_V, x_BD, y_BV)]
    if bias_V is None:
        return [partial(torch.mm, x_BD, weight_VD.T, out=y_BV)]
    return [partial(torch.addmm, bias_V, x_BD, weight_VD.T, out=y_BV)]


def project(x_BD: Tensor, layer: nn.Linear, y_BV: Tensor) -> list[Call]:
    """`linear` by a layer's weights."""
    return linear(x_BD, layer.weight, layer.bias, y_BV)


def rms_norm(x_MD: Tensor, gain_HD: Tensor, eps: float, y_MD: Tensor) -> list[Call]:
    """y = gain x / sqrt(mean(x^2) + eps) over the last axis, of a number of rows that the gains divide: they repeat."""
    rows, size = x_MD.shape
    gain_HD = gain_HD.view(-1, size)
    if kernel.serves(x_MD, gain_HD, y_MD):
        return [kernel.bound("norm", _norm_sizes(x_MD, gain_HD, eps, False, y_MD), x_MD, gain_HD, None, y_MD)]
    root_M1, share, floor = x_MD.new_empty(rows, 1), scalar(1 / size, x_MD), scalar(eps, x_MD)
    y_BHD = y_MD.unflatten(0, (-1, gain_HD.shape[0]))
    return [
        partial(torch.linalg.vector_norm, x_MD, dim=-1, keepdim=True, out=root_M1),
        root_M1.square_,
        partial(root_M1.mul_, share),
        partial(root_M1.add_, floor),
        root_M1.rsqrt_,
        partial(torch.mul, x_MD, root_M1, out=y_MD),
        partial(y_BHD.mul_, gain_HD),
    ]


def layer_norm(x_MD: Tensor, gain_D: Tensor, bias_D: Tensor, eps: float, y_MD: Tensor) -> list[Call]:
    """y = gain (x - mean(x)) / sqrt(variance + eps) + bias."""
    rows, size = x_MD.shape
    if kernel.serves(x_MD, gain_D, bias_D, y_MD):
        sizes = _norm_sizes(x_MD, gain_D.view(1, size), eps, True, y_MD)
        return [kernel.bound("norm", sizes, x_MD, gain_D, bias_D, y_MD)]
    mean_M1, share = x_MD.new_empty(rows, 1), scalar(1 / size, x_MD)
    centre = [
        partial(torch.sum, x_MD, -1, keepdim=True, out=mean_M1),
        partial(mean_M1.mul_, share),
        partial(torch.sub, x_MD, mean_M1, out=y_MD),
    ]
    scaled_MD = torch.empty_like(y_MD)
    scale = rms_norm(y_MD, gain_D, eps, scaled_MD)
    return [*centre, *scale, partial(torch.add, scaled_MD, bias_D, out=y_MD)]


def _norm_sizes(x_MD: Tensor, gain_HD: Tensor, eps: float, centred: bool, y_MD: Tensor) -> kernel.Norm:
    rows, size = x_MD.shape
    assert x_MD.stride(1) == y_MD.stride(1) == 1
    return kernel.Norm(rows, size, x_MD.stride(0), y_MD.stride(0), gain_HD.shape[0], centred, eps)


def silu_(x: Tensor) -> list[Call]:
    """In place."""
    return [partial(silu, x, inplace=True)]


def gelu_(x: Tensor, approximate: str = "none") -> list[Call]:
    """In place."""
    return [partial(GELU, x, approximate=approximate, out=x)]


def softplus_(x: Tensor) -> list[Call]:
    """In place."""
    return [partial(SOFTPLUS, x, out=x)]


class ConvolutionStep:
    """The short convolution: the last W - 1 inputs stand in a ring, that of position t in slot t mod (W - 1)."""

    def __init__(self, x_BD: Tensor, taps_WD: Tensor, bias_D: Tensor | None, y_BD: Tensor, position: Position) -> None:
        self.position = position
        n_past = taps_WD.shape[0] - 1
        self.past_WBD = x_BD.new_zeros(n_past, *x_BD.shape)
        self.phases = [self._calls(x_BD, taps_WD, bias_D, y_BD, first) for first in range(n_past)]

    def _calls(self, x_BD: Tensor, taps_WD: Tensor, bias_D: Tensor | None, y_BD: Tensor, first: int) -> list[Call]:
        """Where the oldest input stands in slot `first`."""
        if kernel.serves(x_BD, taps_WD, y_BD) and x_BD.stride(1) == 1 and y_BD.is_contiguous():
            sizes = kernel.Convolution(*x_BD.shape, len(self.past_WBD), first, x_BD.stride(0))
            return [kernel.bound("convolve", sizes, x_BD, taps_WD, bias_D, self.past_WBD, y_BD)]
        past = [self.past_WBD[(first + w) % len(self.past_WBD)] for w in range(len(self.past_WBD))]
        calls: list[Call] = [partial(torch.mul, x_BD, taps_WD[-1], out=y_BD)]
        calls += [partial(y_BD.addcmul_, one_BD, taps_WD[w]) for w, one_BD in enumerate(past)]
        calls += [] if bias_D is None else [partial(y_BD.add_, bias_D)]
        return [*calls, partial(past[0].copy_, x_BD)]

    def run(self) -> None:
        """y of x, which takes the oldest input's place."""
        for call in self.phases[self.position.now % len(self.phases)]:
            call()

    def load(self, past_BWD: Tensor) -> None:
        """The inputs before `position.now`, oldest first."""
        for w, slot in enumerate(self._slots()):
            self.past_WBD[slot].copy_(past_BWD[:, w])

    def state(self) -> ConvolutionState:
        """A copy of them."""
        return ConvolutionState(torch.stack([self.past_WBD[slot] for slot in self._slots()], dim=1))

    def _slots(self) -> list[int]:
        n_past = len(self.past_WBD)
        return [(self.position.now + w) % n_past for w in range(n_past)]
