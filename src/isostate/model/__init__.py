"""Mixers to a decoder: config, module, initialisation, matched sizes."""

from isostate.model.config import ModelConfig
from isostate.model.decoder import Decoder, DecoderState, Recompute, decayed_parameters
from isostate.model.match import knob_of, match_params, match_state
from isostate.model.stack import StackConfig

__all__ = [
    "Decoder",
    "DecoderState",
    "ModelConfig",
    "Recompute",
    "StackConfig",
    "decayed_parameters",
    "knob_of",
    "match_params",
    "match_state",
]
