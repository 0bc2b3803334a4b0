"""isostate.export.mamba: its config.json. Logits: test_huggingface.py."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.export.mamba import MAMBA_TYPE, layout, read
from isostate.model import Decoder

FILE = {"vocab_size": 29, "hidden_size": 24, "num_hidden_layers": 2, "state_size": 5}


def test_blocks_are_a_norm_and_a_mixer():
    config = read(FILE, "f")
    assert (config.mlp, config.eps, config.embeddings, config.mixer.rank) == ("none", 1e-5, "tied", 2)
    assert layout(config).keys() == dict(Decoder(config).named_parameters()).keys()


def test_a_config_comes_back_as_it_was():
    config = read(FILE | {"use_bias": True, "use_conv_bias": False, "time_step_rank": 3, "expand": 3}, "f")
    assert config.mixer.bias == "all"
    assert read(MAMBA_TYPE.to_huggingface(config), "f") == config


def test_another_activation_is_refused():
    with pytest.raises(UserError, match="hidden_act = gelu: Isostate has only hidden_act = silu"):
        read(FILE | {"hidden_act": "gelu"}, "f")
