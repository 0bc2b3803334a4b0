"""Operators: their matmul FLOPs are those of the cost model and of torch, to the integer; training and generation."""

from __future__ import annotations

import pytest

from isostate.costs import counting, forward_cost
from isostate.costs.operators import decode_operators, forward_operators, training_operators, training_parts
from isostate.model import Decoder, ModelConfig
from isostate.model.decoder import own_parameters
from isostate.quantities import Operator
from tests.costs.dispatched import model_of, tokens
from tests.mixers.cases import CASES, name_of

BATCH = 3
every_case = pytest.mark.parametrize("mixer", CASES, ids=name_of)
OPTIONS = {
    "defaults": {},
    "parallel, biases, dropout": {"block": "parallel", "bias": "all", "dropout": 0.1, "mlp": "squared-relu"},
    "learned positions, cap": {"position_embedding": "learned", "max_context": 130, "logit_cap": 30.0, "mlp": "reglu"},
    "gelu and layer norm": {"mlp": "gelu", "norm": "layer"},
    "convolution, untied": {"conv_taps": 4, "embeddings": "untied"},
}


def matmul_of(operators: tuple[Operator, ...]) -> int:
    return sum(operator.total.matmul_flops for operator in operators)


@pytest.mark.parametrize("options", OPTIONS)
@every_case
def test_a_forwards_matmul_flops_are_the_cost_models_to_the_integer(mixer, options):
    config = model_of(mixer, **OPTIONS[options])
    for context in (1, 50, 130):
        assert matmul_of(forward_operators(config, BATCH, context)) == forward_cost(config, BATCH, context).matmul_flops


@pytest.mark.slow
@pytest.mark.parametrize("recompute", ["none", "blocks"])
@pytest.mark.parametrize("options", OPTIONS)
@every_case
def test_an_updates_matmul_flops_are_those_that_torch_counts(mixer, options, recompute):
    config = model_of(mixer, **OPTIONS[options])
    model = Decoder(config)
    for context in (1, 50, 130):
        tokens_BT = tokens(BATCH, context)
        counted = counting.matmul_flops(lambda t=tokens_BT: model.train_loss(t, t, recompute=recompute).backward())
        assert matmul_of(training_operators(config, BATCH, context, recompute)) == counted


def test_the_head_in_pieces_counts_every_row_once():
    config = ModelConfig.parse(
        {"vocab_size": 2**18, "n_layers": 1, "d_model": 8, "mixer": {"kind": "softmax", "n_heads": 1}}, "m"
    )  # pieces of 16 rows
    head = next(o for o in training_operators(config, 1, 50) if o.name == "head")
    assert head.total.matmul_flops == 3 * 2 * 50 * 8 * 2**18
    n_pieces = sum(part.n_calls for part in training_parts(config, 1, 50) if part.name == "head")
    assert n_pieces > sum(part.n_calls for part in training_parts(config, 1, 16) if part.name == "head")


@every_case
def test_generation_reads_every_matrix_once_and_the_state(mixer):
    config = model_of(mixer, embeddings="untied")
    one, two = (decode_operators(config, batch, 40) for batch in (1, 2))
    model = Decoder(config)
    own = own_parameters(model)
    matrices = sum(p.numel() for name, p in model.named_parameters() if p.ndim == 2 and name not in own)
    table = config.vocab_size * config.d_model  # of the embedding, which a step reads a row of
    for operators in (one, two):
        assert sum(o.times * o.weight_bytes for o in operators) == 4 * (matrices - table)
    states = [sum(o.times * o.state_bytes for o in operators) for operators in (one, two)]
    assert states[1] == 2 * states[0] > 4 * config.state_size(40).elements
    assert all(o.weight_bytes + o.state_bytes <= o.cost.moved_bytes for o in two)


@every_case
def test_an_update_costs_more_than_its_forward_in_every_way(mixer):
    config = model_of(mixer)
    forward = [o.total for o in forward_operators(config, BATCH, 64)]
    update = [o.total for o in training_operators(config, BATCH, 64)]
    for name in ("matmul_flops", "other_flops", "moved_bytes"):
        assert sum(getattr(c, name) for c in update) > 1.9 * sum(getattr(c, name) for c in forward) > 0
