"""Matmul FLOPs of a training step as they run: forward, backward, and what is computed again.

The model's own are three forwards (MFU); the hardware's (HFU) add what backward computes again. That differs by form:

    plain matmuls         twice the forward, one matmul for each operand's gradient
    fused attention       5/2 of the forward: the scores are made again
    chunked recurrence    the scores once more; nothing for the last state, which nobody reads, nor for the empty one
    parallel recurrence   nothing for the last state, and for the empty one read, half

Running a block again stops at the last tensor that backward needs: the last projection does not run again, unless what
it gives is dropped (torch, non-reentrant). A GPT block then takes 4 F - F(last linear), 3.69 F at S = D / 2; the
reentrant kind takes 4 F.
"""

from __future__ import annotations

from typing import NamedTuple

from isostate.costs.model import forward_cost, mlp_weights
from isostate.costs.tape.mixers import MIXERS_TOLD
from isostate.mixers import Form
from isostate.model import ModelConfig, Recompute


class StepFlops(NamedTuple):
    """Matmul FLOPs; `recomputed` are those of blocks that run again."""

    forward: int
    backward: int
    recomputed: int

    @property
    def model(self) -> int:
        """What the model asks for, whatever is computed again: the numerator of MFU."""
        return 3 * self.forward

    @property
    def hardware(self) -> int:
        """What runs: the numerator of HFU."""
        return self.forward + self.backward + self.recomputed


def step_flops(
    config: ModelConfig, batch: int, context: int, form: Form = "chunked", recompute: Recompute = "none"
) -> StepFlops:
    """One forward and backward of `batch` sequences from the empty state, equal to those that torch counts."""
    forward = forward_cost(config, batch, context, form).matmul_flops
    backward, again = 2 * forward, 0
    for mixer, times in config.mixer_groups:
        whole = mixer.cost(batch, context, form).matmul_flops
        inner = whole - mixer.projection_cost(batch * context).matmul_flops
        inner_backward = MIXERS_TOLD[mixer.kind].backward_flops(mixer, inner, batch, context, form)
        backward += times * (inner_backward - 2 * inner)
        width_in = mixer.parameter_shapes()["out_proj.weight"][1] if config.mlp == "none" else config.d_ff
        last = 0 if config.dropout else 2 * batch * context * width_in * config.d_model
        again += times * (whole + 2 * batch * context * mlp_weights(config) - last)
    return StepFlops(forward, backward, again if recompute == "blocks" else 0)
