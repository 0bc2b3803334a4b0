"""Mixers to a decoder: config, module, initialisation, matched sizes."""

from isostate.model.decoder import Decoder, DecoderState, ModelConfig, decayed_parameters
from isostate.model.match import knob_of, match_params, match_state

__all__ = ["Decoder", "DecoderState", "ModelConfig", "decayed_parameters", "knob_of", "match_params", "match_state"]
