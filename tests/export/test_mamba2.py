"""isostate.export.mamba2: its config.json and the limits of its steps. Logits: test_huggingface.py."""

from __future__ import annotations

import math

import pytest

from isostate.config import UserError
from isostate.export.mamba2 import MAMBA2_TYPE, read

FILE = {
    **{"vocab_size": 29, "hidden_size": 24, "num_hidden_layers": 2, "state_size": 5},
    **{"num_heads": 6, "head_dim": 8, "n_groups": 3},
}


@pytest.mark.parametrize("open_end", [[0.0, math.inf], [0.0, {"__float__": "Infinity"}], None])
def test_steps_without_limits_have_none(open_end):
    config = read(FILE | {"time_step_limit": open_end}, "f")
    assert config.mixer.step_limits is None
    assert "time_step_limit" not in MAMBA2_TYPE.to_huggingface(config)


def test_a_config_comes_back_as_it_was():
    config = read(FILE | {"time_step_limit": [0.01, 0.05], "layer_norm_epsilon": 1e-6, "use_bias": True}, "f")
    assert (config.mixer.step_limits, config.mixer.norm_eps, config.eps) == ((0.01, 0.05), 1e-6, 1e-6)
    assert read(MAMBA2_TYPE.to_huggingface(config), "f") == config


@pytest.mark.parametrize("limits", [[0.1, math.inf], [0.1], "small", [0.1, "large"]])
def test_limits_that_ours_cannot_have_are_named(limits):
    with pytest.raises(UserError, match="f: time_step_limit = "):
        read(FILE | {"time_step_limit": limits}, "f")
