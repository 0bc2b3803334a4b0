"""Llama, Mistral, Mixtral: heads, windows, experts."""

from __future__ import annotations

from isostate.costs.huggingface.read import from_huggingface
from tests.costs.huggingface.cases import CASES
from tests.costs.huggingface.refusals import MISSING, refusal


def test_heads_divide_the_width_unless_they_have_a_size_of_their_own():
    assert refusal(CASES["llama"], num_attention_heads=7, num_key_value_heads=MISSING) == (
        "f: num_attention_heads = 7: must divide hidden_size = 48"
    )
    wide = CASES["llama"] | {"num_attention_heads": 7, "num_key_value_heads": 1, "head_dim": 10}
    assert from_huggingface(wide, "f").attentions[0].wide == 70


def test_key_value_heads_divide_the_heads_and_left_out_are_all():
    says = "f: num_key_value_heads = 4: must divide num_attention_heads = 6"
    assert refusal(CASES["llama"], num_key_value_heads=4) == says
    left_out = {key: value for key, value in CASES["llama"].items() if key != "num_key_value_heads"}
    assert from_huggingface(left_out, "f").attentions[0].n_kv_heads == 6


def test_every_layer_of_mistral_is_windowed_or_none():
    windows = [
        {
            block.sublayers[0].window
            for block in from_huggingface(CASES["mistral"] | {"sliding_window": w}, "f").blocks()
        }
        for w in (32, None)
    ]
    assert windows == [{32}, {None}]


def test_every_layer_of_mixtral_has_experts():
    blocks = from_huggingface(CASES["mixtral"], "f").blocks()
    assert {(block.sublayers[1].n_experts, block.sublayers[1].top_k) for block in blocks} == {(5, 3)}
