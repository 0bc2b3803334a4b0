"""A decode step of a block: what `block.py` does to a whole sequence, for one position, in buffers made once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from isostate.mixers.steps import STEPS, Call, MixerStep, Position
from isostate.mixers.steps.operations import ConvolutionStep, gelu_, layer_norm, project, rms_norm, silu_
from isostate.model.block import Block, BlockState
from isostate.model.layers import Activation, FeedForward, GatedFeedForward, RMSNorm, gelu_tanh, squared_relu

# Each activation of `layers.py`, in place.
IN_PLACE: dict[Activation, Callable[[Tensor], list[Call]]] = {
    torch.nn.functional.silu: silu_,
    torch.nn.functional.gelu: gelu_,
    gelu_tanh: partial(gelu_, approximate="tanh"),
    torch.nn.functional.relu: lambda x: [x.relu_],
    squared_relu: lambda x: [x.relu_, x.square_],
}


class BlockStep:
    """Reads and writes the residual stream z_BD."""

    def __init__(self, block: Block, z_BD: Tensor, position: Position) -> None:
        normed_BD, y_BD = torch.empty_like(z_BD), torch.empty_like(z_BD)
        self.convolution: ConvolutionStep | None = None
        x_BD, self.calls = normed_BD, norm(block.mixer_norm, z_BD, normed_BD)
        if block.convolution is not None:
            x_BD = torch.empty_like(z_BD)
            self.convolution = ConvolutionStep(normed_BD, block.convolution.taps_WD, None, x_BD, position)
            self.calls.append(self.convolution.run)
        self.mixer: MixerStep = STEPS[block.mixer.config.kind](block.mixer, x_BD, y_BD, position)
        self.calls += [*self.mixer.calls, partial(z_BD.add_, y_BD)]
        if block.mlp is None:
            return
        if block.mlp_norm is not None:
            self.calls += norm(block.mlp_norm, z_BD, normed_BD)
        assert isinstance(block.mlp, (FeedForward, GatedFeedForward))
        self.calls += [*feed_forward(block.mlp, normed_BD, y_BD), partial(z_BD.add_, y_BD)]

    def load(self, state: BlockState) -> None:
        self.mixer.load(state.mixer)
        if self.convolution is not None:
            assert state.convolution is not None
            self.convolution.load(state.convolution.past_BWD)

    def state(self) -> BlockState:
        return BlockState(self.mixer.state(), None if self.convolution is None else self.convolution.state())


def norm(layer: nn.Module, x_BD: Tensor, y_BD: Tensor) -> list[Call]:
    """Either kind."""
    if isinstance(layer, RMSNorm):
        return rms_norm(x_BD, layer.gain, layer.eps, y_BD)
    assert isinstance(layer, nn.LayerNorm)
    return layer_norm(x_BD, layer.weight, layer.bias, layer.eps, y_BD)


def feed_forward(mlp: FeedForward | GatedFeedForward, x_BD: Tensor, y_BD: Tensor) -> list[Call]:
    """Either kind, any activation."""
    hidden_BF = x_BD.new_empty(len(x_BD), mlp.in_proj.out_features)
    calls = project(x_BD, mlp.in_proj, hidden_BF)
    if isinstance(mlp, GatedFeedForward):
        hidden_BF, up_BF = hidden_BF.chunk(2, dim=1)
        calls += [*IN_PLACE[mlp.activation](hidden_BF), partial(hidden_BF.mul_, up_BF)]
    else:
        calls += IN_PLACE[mlp.activation](hidden_BF)
    return [*calls, *project(hidden_BF, mlp.out_proj, y_BD)]
