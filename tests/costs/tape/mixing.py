"""A mixer alone, in torch and on the tape."""

from __future__ import annotations

import torch

from isostate.costs.tape.mixers import MIXERS_TOLD
from isostate.costs.tape.tape import Tape, Value
from isostate.mixers import MixerConfig, build_mixer
from tests.costs.tape.running import assert_same, in_torch, on_tape


def assert_told(config: MixerConfig, batch: int, context: int, form: str = "chunked") -> None:
    """Every allocation of its forward and backward, from the empty state, which is there already."""
    mixer = build_mixer(config)
    state = mixer.init_state(batch)

    def tell(tape: Tape, x: Value) -> Value:
        y, after = MIXERS_TOLD[config.kind].step(tape, config, x, batch, context, form)
        tape.free(*after)
        return y

    def forward(x_BTD: torch.Tensor) -> torch.Tensor:
        return mixer(x_BTD, state, form)[0]

    told = on_tape(tell, batch * context * config.d_model)
    assert_same(told, in_torch(forward, (batch, context, config.d_model), mixer))
