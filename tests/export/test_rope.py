"""isostate.export.rope: rotary positions in either spelling of config.json; what ours are not is refused."""

from __future__ import annotations

import math

import pytest

from isostate.config import UserError
from isostate.export.rope import read_rope, write_rope
from isostate.mixers.rotary import RotaryConfig

OLD_LLAMA3 = {
    "rope_theta": 500_000.0,
    "rope_scaling": {
        **{"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0},
        "original_max_position_embeddings": 8192,
    },
}


def read(values, max_context=64):
    return RotaryConfig(**read_rope(values, max_context, "f"))


def test_nothing_is_the_plain_kind():
    assert read({}) == RotaryConfig()
    assert read({"rope_theta": 1e6, "rope_scaling": None}) == RotaryConfig(base=1e6)


def test_both_spellings_are_read():
    want = RotaryConfig(base=500_000.0, scaling="llama3", factor=32.0, trained_context=8192)
    assert read(OLD_LLAMA3) == want
    assert read({"rope_parameters": {**OLD_LLAMA3["rope_scaling"], "rope_theta": 500_000.0}}) == want
    assert read({"rope_scaling": {"type": "linear", "factor": 2}}) == RotaryConfig(scaling="linear", factor=2)


def test_yarn_takes_what_it_leaves_out_from_the_context():
    found = read({"rope_scaling": {"rope_type": "yarn", "original_max_position_embeddings": 16}}, 64)
    assert (found.factor, found.trained_context) == (4.0, 16)
    assert read({"rope_scaling": {"rope_type": "yarn", "factor": 2.0}}, 64).trained_context == 64


@pytest.mark.parametrize(
    "rotary",
    [
        RotaryConfig(base=1e6),
        RotaryConfig(scaling="linear", factor=3.0),
        RotaryConfig(scaling="yarn", factor=4.0, trained_context=16),
        RotaryConfig(scaling="yarn", factor=4.0, trained_context=16, slow=2.0, fast=9.0),
        RotaryConfig(scaling="llama3", factor=8.0, trained_context=16),
    ],
)
def test_what_is_written_is_read_again_in_both_spellings(rotary):
    written = write_rope(rotary)
    assert read(written) == rotary
    assert read({key: value for key, value in written.items() if key != "rope_parameters"}) == rotary


REFUSED = {
    "dynamic": ({"rope_type": "dynamic", "factor": 2.0}, 'rope_type = "dynamic".* up to max_position_embeddings = 64'),
    "longrope": ({"rope_type": "longrope"}, 'rope_type = "longrope": Isostate has default, linear, yarn, llama3'),
    "no factor": ({"rope_type": "linear"}, "factor = null: must be a number"),
    "factor in words": ({"rope_type": "linear", "factor": "2"}, 'factor = "2": must be a number'),
    "part of a head": ({"rope_type": "default", "partial_rotary_factor": 0.5}, "partial_rotary_factor = 0.5"),
    "a smooth ramp": ({"rope_type": "yarn", "factor": 2.0, "truncate": False}, "truncate = false"),
    "another gain": ({"rope_type": "yarn", "factor": 2.0, "attention_factor": 1.0}, "attention_factor .* = 1: "),
    "two scales": (
        {"rope_type": "yarn", "factor": 40.0, "mscale": 0.707, "mscale_all_dim": 0.707},
        "mscale over mscale_all_dim.* = 1: ",
    ),
    "a key that nobody knows": ({"rope_type": "default", "spin": 1}, "rope_parameters.spin = 1"),
    "no table": ([1], "rope_parameters = .1.: must be a table"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_ours_cannot_be_is_named(name):
    given, words = REFUSED[name]
    with pytest.raises(UserError, match=words):
        read({"rope_parameters": given})


def test_a_gain_that_is_ours_is_taken():
    gain = 1 + 0.1 * math.log(2)
    given = {"rope_type": "yarn", "factor": 2.0, "attention_factor": gain}
    assert read({"rope_parameters": given}).gain == pytest.approx(gain, rel=1e-12)
