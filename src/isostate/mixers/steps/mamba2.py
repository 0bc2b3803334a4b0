"""A decode step of Mamba-2: its projection, the convolution, one turn of the recurrence, the gated norm."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor

from isostate.mixers.contract import Mixer
from isostate.mixers.mamba2 import Mamba2Mixer, Mamba2State
from isostate.mixers.steps.contract import Call, MixerStep, Position
from isostate.mixers.steps.operations import ConvolutionStep, project, rms_norm, silu_, softplus_
from isostate.mixers.steps.recurrence import Turn


class Mamba2Step(MixerStep):
    """`matrix_BHPV` is S, `convolution` the last inputs."""

    def __init__(self, mixer: Mixer, x_BD: Tensor, y_BD: Tensor, position: Position) -> None:
        super().__init__(mixer, x_BD, y_BD, position)
        mamba2 = cast(Mamba2Mixer, mixer)
        config, batch = mamba2.config, x_BD.shape[0]
        inner, keys = config.inner, config.n_groups * config.d_state
        joined_BD = x_BD.new_empty(batch, inner + config.convolved + config.n_heads)
        z_BD, given_BD, step_BH = joined_BD.split([inner, config.convolved, config.n_heads], dim=1)
        convolved_BD = x_BD.new_empty(batch, config.convolved)
        v_BD, k_BD, q_BD = convolved_BD.split([inner, keys, keys], dim=1)
        taps_WD = mamba2.conv1d.weight.squeeze(1).T.contiguous()
        self.convolution = ConvolutionStep(given_BD, taps_WD, mamba2.conv1d.bias, convolved_BD, position)
        self.matrix_BHPV = mixer.init_state(batch).matrix_BHPV
        v_BHV = v_BD.unflatten(1, (config.n_heads, config.head_dim))
        read_BHV, turned = self._turn(q_BD, k_BD, v_BHV, step_BH)
        read_BD = read_BHV.flatten(1)
        normed_BD = torch.empty_like(read_BD)
        by_group = [x.view(batch * config.n_groups, -1) for x in (read_BD, normed_BD)]
        self.calls = [
            *project(x_BD, mamba2.in_proj, joined_BD),
            self.convolution.run,
            *silu_(convolved_BD),
            *turned,
            partial(read_BHV.addcmul_, v_BHV, mamba2.D.unsqueeze(-1)),
            *silu_(z_BD),
            partial(read_BD.mul_, z_BD),
            *rms_norm(by_group[0], mamba2.norm.weight.view(config.n_groups, -1), mamba2.norm.eps, by_group[1]),
            *project(normed_BD, mamba2.out_proj, y_BD),
        ]

    def _turn(self, q_BD: Tensor, k_BD: Tensor, v_BHV: Tensor, step_BH: Tensor) -> tuple[Tensor, list[Call]]:
        """The step's size decays the state and scales the value; heads of a group share q and k."""
        mamba2 = cast(Mamba2Mixer, self.mixer)
        config, shape = mamba2.config, (len(q_BD), mamba2.config.n_groups, -1, config_keys := mamba2.config.d_state)
        size_BH, gates_BH = step_BH.new_empty(step_BH.shape), step_BH.new_empty(step_BH.shape)
        scaled_BHV, read_BHV = v_BHV.new_empty(v_BHV.shape), v_BHV.new_empty(v_BHV.shape)
        q_BHK, k_BHK = (v_BHV.new_empty(len(q_BD), config.n_heads, config_keys) for _ in range(2))
        calls: list[Call] = [
            partial(torch.add, step_BH, mamba2.dt_bias, out=size_BH),
            *softplus_(size_BH),
        ]
        if config.step_limits is not None:
            calls.append(partial(torch.clamp, size_BH, *config.step_limits, out=size_BH))
        calls += [
            partial(torch.mul, size_BH, -mamba2.A_log.exp(), out=gates_BH),
            gates_BH.exp_,
            partial(torch.mul, v_BHV, size_BH.unsqueeze(-1), out=scaled_BHV),
        ]
        for own_BHK, shared_BD in ((q_BHK, q_BD), (k_BHK, k_BD)):
            calls.append(partial(own_BHK.view(shape).copy_, shared_BD.unflatten(1, (config.n_groups, 1, config_keys))))
        turn = Turn(q_BHK, k_BHK, scaled_BHV, gates_BH, self.matrix_BHPV, None, read_BHV, config.feature_map)
        return read_BHV, [*calls, *turn.calls()]

    def load(self, state: Mamba2State) -> None:
        self.matrix_BHPV.copy_(state.matrix_BHPV)
        self.convolution.load(state.past_BWD)

    def state(self) -> Mamba2State:
        return Mamba2State(self.matrix_BHPV.clone(), self.convolution.state().past_BWD, self.position.now)
