"""A decode step of Mamba: its projections, the convolution, and one position of the selective scan."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor

from isostate.mixers.contract import Mixer
from isostate.mixers.mamba import MambaMixer, MambaState
from isostate.mixers.steps import kernel
from isostate.mixers.steps.contract import Call, MixerStep, Position
from isostate.mixers.steps.operations import ConvolutionStep, project, silu_, softplus_


class MambaStep(MixerStep):
    """`matrix_BIR` is h, `convolution` the last inputs."""

    def __init__(self, mixer: Mixer, x_BD: Tensor, y_BD: Tensor, position: Position) -> None:
        super().__init__(mixer, x_BD, y_BD, position)
        mamba = cast(MambaMixer, mixer)
        config, batch = mamba.config, x_BD.shape[0]
        joined_BI, inner_BI = x_BD.new_empty(batch, 2 * config.inner), x_BD.new_empty(batch, config.inner)
        given_BI, z_BI = joined_BI.split(config.inner, dim=1)
        selected_BR, dt_BI = x_BD.new_empty(batch, sum(config.selected)), torch.empty_like(inner_BI)
        d_BR, B_BR, C_BR = selected_BR.split(config.selected, dim=1)
        taps_WI = mamba.conv1d.weight.squeeze(1).T.contiguous()
        self.convolution = ConvolutionStep(given_BI, taps_WI, mamba.conv1d.bias, inner_BI, position)
        self.matrix_BIR = x_BD.new_zeros(batch, config.inner, config.d_state)
        read_BI, scanned = self._scan(inner_BI, dt_BI, -mamba.A_log.exp(), B_BR, C_BR, mamba.D)
        self.calls = [
            *project(x_BD, mamba.in_proj, joined_BI),
            self.convolution.run,
            *silu_(inner_BI),
            *project(inner_BI, mamba.x_proj, selected_BR),
            *project(d_BR, mamba.dt_proj, dt_BI),
            *softplus_(dt_BI),
            *scanned,
            *silu_(z_BI),
            partial(read_BI.mul_, z_BI),
            *project(read_BI, mamba.out_proj, y_BD),
        ]

    def _scan(
        self, x_BI: Tensor, dt_BI: Tensor, A_IR: Tensor, B_BR: Tensor, C_BR: Tensor, D_I: Tensor
    ) -> tuple[Tensor, list[Call]]:
        """h <- exp(dt A) h + dt B x,  y = C . h + D x."""
        y_BI = torch.empty_like(x_BI)
        if kernel.serves(x_BI, self.matrix_BIR):
            sizes = kernel.Scan(*self.matrix_BIR.shape, B_BR.stride(0), kernel.threads())
            tensors = (x_BI, dt_BI, A_IR, B_BR, C_BR, D_I, self.matrix_BIR, y_BI)
            return y_BI, [kernel.bound("scan", sizes, *tensors)]
        decay_BIR, u_BI = torch.empty_like(self.matrix_BIR), torch.empty_like(x_BI)
        return y_BI, [
            partial(torch.mul, dt_BI.unsqueeze(-1), A_IR, out=decay_BIR),
            decay_BIR.exp_,
            partial(self.matrix_BIR.mul_, decay_BIR),
            partial(torch.mul, dt_BI, x_BI, out=u_BI),
            partial(self.matrix_BIR.addcmul_, u_BI.unsqueeze(-1), B_BR.unsqueeze(1)),
            partial(torch.bmm, self.matrix_BIR, C_BR.unsqueeze(-1), out=y_BI.unsqueeze(-1)),
            partial(y_BI.addcmul_, D_I, x_BI),
        ]

    def load(self, state: MambaState) -> None:
        self.matrix_BIR.copy_(state.matrix_BIR)
        self.convolution.load(state.past_BWI)

    def state(self) -> MambaState:
        return MambaState(self.matrix_BIR.clone(), self.convolution.state().past_BWD, self.position.now)
