"""What model types share: strict numbers, and layers gathered into groups."""

from __future__ import annotations

import pytest

from isostate.costs.architecture import Block
from isostate.costs.feedforward import MLP
from isostate.costs.huggingface.keys import RMS, gated, gather, plain
from tests.costs.huggingface.cases import CASES
from tests.costs.huggingface.refusals import refusal


def block(d_ff: int) -> Block:
    return Block(sublayers=(MLP(d_ff=d_ff, activation="gelu"),), norm=RMS)


@pytest.mark.parametrize(
    "widths, groups",
    [
        ([1] * 32, [(32, 1)]),
        ([1] * 3 + [2] * 58, [(3, 1), (58, 1)]),
        (([1] * 5 + [2]) * 10 + [1] * 2, [(10, 6), (2, 1)]),
        ([1, 2] * 21, [(21, 2)]),
        ([1, 2, 3], [(1, 1), (1, 1), (1, 1)]),
        ([1], [(1, 1)]),
    ],
)
def test_layers_become_groups_of_repeating_patterns(widths, groups):
    gathered = gather([block(width) for width in widths])
    assert [(group.count, len(group.blocks)) for group in gathered] == groups
    again = [one.sublayers[0].d_ff for group in gathered for _ in range(group.count) for one in group.blocks]
    assert again == widths


@pytest.mark.parametrize(
    "key, given, says",
    [
        ("hidden_size", "4096", 'hidden_size = "4096": input should be a valid integer'),
        ("hidden_size", 48.0, "hidden_size = 48.0: input should be a valid integer"),
        ("vocab_size", None, "vocab_size = null: input should be a valid integer"),
        ("vocab_size", True, "vocab_size = true: input should be a valid integer"),
        ("num_hidden_layers", 0, "num_hidden_layers = 0: input should be greater than or equal to 1"),
        ("num_hidden_layers", 10**9, "num_hidden_layers = 1000000000: input should be less than or equal to 10000"),
        ("attention_bias", "yes", 'attention_bias = "yes": input should be a valid boolean'),
        ("hidden_act", "swoosh", "hidden_act = \"swoosh\": input should be 'gelu'"),
    ],
)
def test_a_value_of_the_wrong_kind_is_one_clear_line(key, given, says):
    assert refusal(CASES["llama"], **{key: given}).startswith(f"f: {says}")


def test_activations_are_gated_or_not_by_the_model_and_not_by_their_name():
    assert (plain("gelu_new"), plain("relu"), plain("relu2")) == ("gelu", "relu", "squared-relu")
    assert (gated("silu"), gated("gelu_pytorch_tanh"), gated("relu")) == ("swiglu", "geglu", "reglu")
