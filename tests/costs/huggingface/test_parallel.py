"""GPT-NeoX, Phi, Falcon: sublayers that run at once, with one norm or one each."""

from __future__ import annotations

import pytest

from isostate.costs.huggingface.read import from_huggingface
from tests.costs.huggingface.cases import CASES
from tests.costs.huggingface.refusals import refusal


@pytest.mark.parametrize(
    "name, parallel, norms",
    [
        ("gpt_neox", True, "pre"),
        ("gpt_neox, one after another", False, "pre"),
        ("phi", True, "shared"),
        ("falcon, one norm", True, "shared"),
        ("falcon, new decoder", True, "pre"),
        ("falcon, one after another", False, "pre"),
    ],
)
def test_sublayers_run_at_once_or_one_after_another(name, parallel, norms):
    block = from_huggingface(CASES[name], name).blocks()[0]
    assert (block.parallel, block.norms) == (parallel, norms)


def test_falcons_key_value_heads_are_one_those_given_or_all():
    kept = {
        name: from_huggingface(CASES[name], name).attentions[0].n_kv_heads
        for name in CASES
        if name.startswith("falcon")
    }
    assert kept == {"falcon, one norm": 1, "falcon, new decoder": 2, "falcon, one after another": 6}


def test_heads_that_do_not_divide_are_refused():
    for name in ("gpt_neox", "phi", "falcon, one norm"):
        assert refusal(CASES[name], num_attention_heads=7).startswith(
            "f: num_attention_heads = 7: must divide hidden_size"
        )
    says = "f: num_kv_heads = 4: must divide num_attention_heads = 6"
    assert refusal(CASES["falcon, new decoder"], num_kv_heads=4) == says
    says = "f: num_key_value_heads = 4: must divide num_attention_heads = 6"
    assert refusal(CASES["phi"], num_key_value_heads=4) == says
