"""A decode step of S4: every mode turns and takes its part of the input; then gelu and the gated projection."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor

from isostate.mixers.contract import Mixer
from isostate.mixers.s4 import S4Mixer, S4State
from isostate.mixers.s4_modes import discretised, turn_of
from isostate.mixers.steps import kernel
from isostate.mixers.steps.contract import Call, MixerStep, Position
from isostate.mixers.steps.operations import gelu_, project


class S4Step(MixerStep):
    """`matrix_BDR` is h: real parts, then imaginary ones."""

    def __init__(self, mixer: Mixer, x_BD: Tensor, y_BD: Tensor, position: Position) -> None:
        super().__init__(mixer, x_BD, y_BD, position)
        s4 = cast(S4Mixer, mixer)
        batch, width = x_BD.shape
        self.matrix_BDR = x_BD.new_zeros(batch, width, s4.config.d_state)
        read_BD, joined_BD = torch.empty_like(x_BD), x_BD.new_empty(batch, 2 * width)
        value_BD, gate_BD = joined_BD.split(width, dim=1)
        self.calls = [
            *self._filter(s4, read_BD),
            *gelu_(read_BD),
            *project(read_BD, s4.out_proj, joined_BD),
            gate_BD.sigmoid_,
            partial(torch.mul, value_BD, gate_BD, out=y_BD),
        ]

    def _filter(self, s4: S4Mixer, read_BD: Tensor) -> list[Call]:
        same_DR, cross_DR, write_DR, read_DR = _real_modes(s4, self.x_BD)
        h_BDR, half, in_pairs = self.matrix_BDR, s4.config.d_state // 2, s4.config.in_pairs
        if kernel.serves(self.x_BD, h_BDR):
            sizes = kernel.Filter(*h_BDR.shape, in_pairs, self.x_BD.stride(0), kernel.threads())
            tensors = (self.x_BD, same_DR, cross_DR, write_DR, read_DR, s4.D, h_BDR, read_BD)
            return [kernel.bound("filter", sizes, *tensors)]
        work_BDR = torch.empty_like(h_BDR)
        calls: list[Call] = [partial(h_BDR.mul_, same_DR)]
        if in_pairs:
            calls = [
                partial(torch.mul, cross_DR[:, :half], h_BDR[..., half:], out=work_BDR[..., :half]),
                partial(torch.mul, cross_DR[:, half:], h_BDR[..., :half], out=work_BDR[..., half:]),
                *calls,
                partial(h_BDR.add_, work_BDR),
            ]
        return [
            *calls,
            partial(h_BDR.addcmul_, write_DR, self.x_BD.unsqueeze(-1)),
            partial(torch.mul, read_DR, h_BDR, out=work_BDR),
            partial(torch.sum, work_BDR, -1, out=read_BD),
            partial(read_BD.addcmul_, s4.D, self.x_BD),
        ]

    def load(self, state: S4State) -> None:
        self.matrix_BDR.copy_(state.matrix_BDR)

    def state(self) -> S4State:
        return S4State(self.matrix_BDR.clone(), self.position.now)


def _real_modes(s4: S4Mixer, like: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """How a step turns the state, same and cross, what it writes there and how it is read, as `s4_filter` has them."""
    log_decay_DR, write_DR, read_DR = discretised(s4.modes())
    same_DR, cross_DR = turn_of(log_decay_DR.exp(), s4.config.in_pairs)
    if s4.config.in_pairs:
        write_DR = torch.cat([write_DR.real, write_DR.imag], dim=1)
        read_DR = 2 * torch.cat([read_DR.real, -read_DR.imag], dim=1)
    parts = (same_DR, cross_DR, write_DR.real, read_DR.real)
    same_DR, cross_DR, write_DR, read_DR = (x.to(like).contiguous() for x in parts)
    return same_DR, cross_DR, write_DR, read_DR
