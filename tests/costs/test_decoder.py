"""isostate.costs.decoder: Isostate's own configs, against the functions that count the running model."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.costs import forward_cost, train_step_cost
from isostate.costs.decoder import decoder_operators, of_config
from isostate.costs.formula import total_cost
from isostate.costs.sublayer import Run
from isostate.model import ModelConfig

BASE = {"vocab_size": 97, "n_layers": 3, "d_model": 32}
MIXERS = [
    {"kind": "softmax", "n_heads": 4, "positions": "alibi"},
    {"kind": "softmax", "n_heads": 4, "n_kv_heads": 2, "positions": "rotary", "qk_norm": "rms"},
    {"kind": "window", "n_heads": 4, "window": 5},
    {"kind": "linear", "n_heads": 4},
    {"kind": "power", "n_heads": 4, "degree": 2},
    {"kind": "taylor", "n_heads": 4},
    {"kind": "mamba2", "n_heads": 4, "d_state": 6},
]


def config(mixer: dict, **changes) -> ModelConfig:
    return ModelConfig.parse({**BASE, "mixer": mixer, **changes}, "test")


@pytest.mark.parametrize("mixer", MIXERS, ids=lambda mixer: mixer["kind"])
@pytest.mark.parametrize("context", [1, 7, 64, 300])
def test_operators_sum_to_the_forward(mixer, context):
    model = config(mixer, conv_taps=4)
    total = total_cost(decoder_operators(model, Run(2, context)))
    assert total.matmul_flops == forward_cost(model, 2, context).matmul_flops
    assert total.other_flops == forward_cost(model, 2, context).other_flops


@pytest.mark.parametrize("mixer", MIXERS, ids=lambda mixer: mixer["kind"])
def test_decoded_tokens_sum_to_the_recurrent_form(mixer):
    model, n_tokens = config(mixer), 9
    steps = [total_cost(decoder_operators(model, Run(2, s, "decode"))) for s in range(1, n_tokens + 1)]
    whole = forward_cost(model, 2, n_tokens, "recurrent")
    assert sum(step.matmul_flops for step in steps) == whole.matmul_flops
    assert sum(step.other_flops for step in steps) == whole.other_flops


@pytest.mark.parametrize("mixer", MIXERS, ids=lambda mixer: mixer["kind"])
@pytest.mark.parametrize("changes", [{}, {"embeddings": "untied", "norm": "layer", "bias": "all"}])
def test_parameters_and_state_are_the_models(mixer, changes):
    model = config(mixer, **changes)
    subject = of_config(model, "mine", "mine.toml", 64)
    assert subject.params.total == model.param_count().total
    assert subject.params.non_embedding == model.param_count().non_embedding
    assert subject.params.active == subject.params.total
    assert subject.state_size(64).elements == model.state_size(64).elements
    assert subject.train_cost(2, 64) == train_step_cost(model, 2, 64)


def test_a_step_reads_every_weight_but_the_table_and_its_state():
    model = config({"kind": "softmax", "n_heads": 4}, embeddings="untied")
    run = Run(2, 10, "decode")
    listed = decoder_operators(model, run)
    table = 97 * 32
    assert sum(one.times * one.weight_bytes for one in listed) == 2 * (model.param_count().total - table)
    cache = 2 * 2 * model.state_size(10).elements  # two sequences, two bytes
    assert sum(one.times * one.state_bytes for one in listed) == cache
    matrix = config({"kind": "power", "n_heads": 4, "degree": 2})
    moved = sum(one.times * one.state_bytes for one in decoder_operators(matrix, run))
    assert moved == 2 * 2 * 2 * matrix.state_size(10).elements  # read and written


def test_the_weight_state_ratio_is_of_one_token():
    model = config({"kind": "softmax", "n_heads": 4})
    ratio = of_config(model, "mine", "mine.toml", 64).ratio(64)
    weights = sum(p for p in (3 * 4 * 32 * 32, 3 * 3 * 32 * model.d_ff, 97 * 32))
    assert ratio.weight_flops == 2 * weights
    assert ratio.state_flops == 3 * 4 * 64 * 32


def test_a_context_beyond_learned_positions_is_refused():
    model = config({"kind": "softmax", "n_heads": 4}, position_embedding="learned", max_context=16)
    with pytest.raises(UserError, match="the learned positions end at max_context = 16"):
        decoder_operators(model, Run(1, 17))
    with pytest.raises(UserError, match="batch = 0"):
        decoder_operators(model, Run(0, 1))
