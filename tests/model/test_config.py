"""What a decoder may be: predicted sizes are those built, mistakes are told in one line."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.model import Decoder, ModelConfig
from isostate.model.config import default_d_ff
from isostate.model.layers import MLP_MATRICES
from tests.mixers.cases import CASES, name_of
from tests.model.options import OPTIONS, config_of


@pytest.mark.parametrize("mixer", CASES, ids=name_of)
def test_parameters_are_counted_as_built(mixer):
    for name, changes in OPTIONS.items():
        config = config_of(mixer, **changes)
        model = Decoder(config)
        total = sum(parameter.numel() for parameter in model.parameters())
        tables = [model.embedding.weight, model.embedding_of_positions_SD, model.head and model.head.weight]
        embedding = sum(table.numel() for table in tables if table is not None)
        count = config.param_count()
        assert (count.total, count.embedding, count.non_embedding) == (total, embedding, total - embedding), name


def test_biases_stand_where_they_are_asked_for():
    biased = {
        "none": set(),
        "qkv": {"mixer.in_proj"},
        "attention": {"mixer.in_proj", "mixer.out_proj"},
        "mlp": {"mlp.in_proj", "mlp.out_proj"},
        "all": {"mixer.in_proj", "mixer.out_proj", "mlp.in_proj", "mlp.out_proj"},
    }
    for bias, wanted in biased.items():
        model = Decoder(config_of(CASES[0], bias=bias))
        names = {name for name, _ in model.blocks[0].named_parameters() if name.endswith(".bias")}
        assert names == {f"{layer}.bias" for layer in wanted}


def test_options_are_off_by_default():
    values = {"vocab_size": 29, "n_layers": 1, "d_model": 16, "mixer": {"kind": "softmax"}}
    config = ModelConfig.parse(values, "m")
    off = {"block": "sequential", "bias": "none", "position_embedding": "none", "dropout": 0.0, "logit_cap": None}
    assert ModelConfig.parse(values | off | {"mixer": {"kind": "softmax", "attention_dropout": 0.0}}, "m") == config


def test_the_default_width_of_the_feed_forward_is_a_multiple_of_8():
    for kind, matrices in MLP_MATRICES.items():
        wanted = [8, 256, 264, 2048] if matrices == 3 else [8, 384, 400, 3072]
        assert [default_d_ff(width, kind) for width in (1, 96, 100, 768)] == wanted


MISTAKES = [
    ({"n_layers": 0}, "n_layers = 0: must be at least 1"),
    ({"vocab_size": -1}, "vocab_size = -1: must be at least 1"),
    ({"d_ff": 0}, "d_ff = 0: must be at least 1"),
    ({"conv_taps": 1}, "conv_taps = 1: 0 for no convolution, or at least 2"),
    ({"conv_taps": -1}, "conv_taps = -1: 0 for no convolution, or at least 2"),
    ({"mixer": {"kind": "softmax", "d_model": 8}}, "mixer.d_model = 8: must equal d_model = 16; leave it out"),
    ({"mixer": {"kind": "sofmax"}}, 'mixer.kind = "sofmax": no such kind (did you mean "softmax"?)'),
    ({"mixer": {}}, "missing key 'mixer.kind'"),
    # A window has a key of the name of its kind: neither may be taken for the other.
    ({"mixer": {"kind": "window", "windw": 3}}, "unknown key 'mixer.windw' (did you mean \"window\"?)"),
    (
        {"mixer": {"kind": "window", "window": 3, "widow": 3}},
        "key 'mixer.widow' (did you mean \"window\"?); known",
    ),
    ({"mixer": {"kind": "window"}}, "missing key 'mixer.window'; add it"),
    ({"mixer": {"kind": "window", "window": "w"}}, 'mixer.window = "w": input should be a valid integer'),
    ({"mixer": {"kind": "window", "window": 3, "n_kv_heads": 3}}, "mixer: n_kv_heads = 3: must divide n_heads = 4"),
    ({"mlp": "swigl"}, "mlp = \"swigl\": input should be 'swiglu', 'geglu'"),
    ({"block": "serial"}, "block = \"serial\": input should be 'sequential' or 'parallel'"),
    ({"bias": True}, "bias = true: input should be 'none', 'qkv', 'attention', 'mlp' or 'all'"),
    (
        {"bias": "qkv", "mixer": {"kind": "softmax", "bias": "all"}},
        'mixer.bias = "all": bias = "qkv" makes it "qkv"; l',
    ),
    ({"dropout": 1}, "dropout = 1: input should be less than 1"),
    ({"dropout": -0.1}, "dropout = -0.1: input should be greater than or equal to 0"),
    (
        {"mixer": {"kind": "softmax", "attention_dropout": 1}},
        "mixer.attention_dropout = 1: input should be less than 1",
    ),
    ({"mixer": {"kind": "power", "attention_dropout": 0.1}}, "unknown key 'mixer.attention_dropout'; known keys here:"),
    (
        {"position_embedding": "learned"},
        'position_embedding = "learned" needs max_context, the longest context; add it',
    ),
    ({"max_context": 64}, "max_context = 64: only learned positions end there; leave it out"),
    ({"position_embedding": "learned", "max_context": 0}, "max_context = 0: must be at least 1"),
    ({"logit_cap": 0}, "logit_cap = 0: input should be greater than 0"),
    ({"d_model": 10}, "n_heads = 4: must divide d_model = 10"),
    ({"norm_eps": 0}, "norm_eps = 0: input should be greater than 0"),
    ({"mlp": "none", "d_ff": 64}, 'd_ff = 64: mlp = "none" leaves no MLP that it could be of'),
    ({"mlp": "none", "block": "parallel"}, 'block = parallel: mlp = "none" leaves no MLP that it could be of'),
    ({"mlp": "none", "bias": "all"}, 'bias = all: mlp = "none" leaves no MLP that it could be of'),
]


@pytest.mark.parametrize("changes, message", MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_told_in_one_line(changes, message):
    values = {"vocab_size": 256, "n_layers": 2, "d_model": 16, "mixer": {"kind": "softmax"}} | changes
    with pytest.raises(UserError) as caught:
        ModelConfig.parse(values, "study.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
