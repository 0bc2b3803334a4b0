"""Equal footing: solve the knob of a mixer's family for a wanted state, and the MLP's width for wanted parameters."""

from __future__ import annotations

import math
from typing import NamedTuple

from isostate.config import UserError
from isostate.mixers import MixerConfig
from isostate.model.config import ModelConfig
from isostate.model.stack import StackConfig

# Further off than a factor of 1.5 either way, a run would stand for a state that nobody asked for.
STATE_TOLERANCE = math.log(1.5)
PARAMS_TOLERANCE = 0.005


class StateMatch(NamedTuple):
    """`model` has `state_size` elements after `context` tokens; `error` is relative to what was wanted."""

    model: ModelConfig
    state_size: int
    error: float


def match_state(model: ModelConfig, wanted_elements: int, context: int) -> StateMatch:
    """The setting of the mixer's own knob whose whole-model state is nearest (in ratio) to the wanted one.

    Raises UserError where the family has no knob or none of its settings comes near.
    """
    if wanted_elements < 1:
        raise UserError(f"state_size = {wanted_elements}: must be at least 1, elements of the whole model's state")
    family, knob = model.mixer.family, model.mixer.knob
    if knob is None:
        raise UserError(f"state_size = {wanted_elements}: {family} has no knob for its state; set data.context instead")
    settings = [model.mixer.with_knob(value) for value in model.mixer.knob_values(context)]
    candidates = [model.model_copy(update={"mixer": setting}) for setting in settings]
    sizes = [candidate.state_size(context).elements for candidate in candidates]
    best = min(range(len(sizes)), key=lambda i: abs(math.log(sizes[i] / wanted_elements)))
    if abs(math.log(sizes[best] / wanted_elements)) > STATE_TOLERANCE:
        raise UserError(
            f"state_size = {wanted_elements:,} is out of reach of {family}: at this width its {knob} gives "
            f"{min(sizes):,} to {max(sizes):,} elements, {sizes[best]:,} the nearest; ask for one of those, "
            f"or change d_model or n_layers"
        )
    return StateMatch(candidates[best], sizes[best], sizes[best] / wanted_elements - 1)


def match_params(model: ModelConfig, wanted_non_embedding: int) -> ModelConfig:
    """The same model with the MLP width that comes nearest to the wanted parameters, within 0.5 %.

    Raises UserError where no width does: the mixer alone is too large, or the model too small to be that fine.
    """
    if model.mlp == "none":
        raise UserError('match_params: mlp = "none" leaves no width to match with; set match_params = false')
    least = model.model_copy(update={"d_ff": 1}).param_count().non_embedding
    per_unit = model.model_copy(update={"d_ff": 2}).param_count().non_embedding - least
    d_ff = max(1, 1 + round((wanted_non_embedding - least) / per_unit))
    matched = model.model_copy(update={"d_ff": d_ff})
    error = matched.param_count().non_embedding / wanted_non_embedding - 1
    if abs(error) > PARAMS_TOLERANCE:
        raise UserError(
            f"match_params: {model.mixer.family} comes no nearer than {error:+.1%} to {wanted_non_embedding:,} "
            f"parameters (MLP width {d_ff}); use a larger d_model, or set match_params = false"
        )
    return matched


def knob_of(mixer: MixerConfig | StackConfig) -> dict[str, int]:
    """{"head_dim": 16}, {"window.window": 64}: what sets this mixer's or stack's state, for tables and labels."""
    value = mixer.knob_value
    return {} if mixer.knob is None or value is None else {mixer.knob: value}
