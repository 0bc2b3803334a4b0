"""Qwen: biases or a norm of queries and keys, windows where asked for, layers with experts and without."""

from __future__ import annotations

from isostate.costs.huggingface.read import from_huggingface
from tests.costs.huggingface.cases import CASES
from tests.costs.huggingface.refusals import refusal


def windows(name: str, **changes) -> list[int | None]:
    model = from_huggingface(CASES[name] | changes, name)
    return [block.sublayers[0].window for block in model.blocks()]


def test_windows_begin_where_asked_for_and_only_then():
    asked = {"sliding_window": 16, "max_window_layers": 1}
    for name in ("qwen2", "qwen3"):
        assert windows(name, use_sliding_window=True, **asked) == [None, 16, 16]
        assert windows(name, use_sliding_window=False, **asked) == [None] * 3
    assert windows("qwen2_moe", use_sliding_window=True, sliding_window=16, max_window_layers=4) == [
        16,
        None,
        16,
        None,
        None,
    ]
    assert windows("qwen3_moe", use_sliding_window=True, sliding_window=16) == [16] * 3


def test_types_of_layers_go_before_the_rule():
    named = ["sliding_attention", "full_attention", "full_attention"]
    assert windows("qwen3", use_sliding_window=True, sliding_window=16, layer_types=named) == [16, None, None]
    says = "f: layer_types names 3 layers: must name num_hidden_layers = 5"
    assert refusal(CASES["qwen2_moe"], layer_types=named) == says
    assert refusal(CASES["qwen2"], layer_types=named[:1]).endswith("must name num_hidden_layers = 3")
    assert "input should be 'full_attention' or 'sliding_attention'" in refusal(
        CASES["qwen3"], layer_types=["full", "full_attention", "full_attention"]
    )


def test_experts_stand_in_every_second_layer_and_where_no_dense_one_is_named():
    blocks = from_huggingface(CASES["qwen2_moe"], "f").blocks()
    assert [block.sublayers[1].kind for block in blocks] == ["mlp", "moe", "mlp", "mlp", "mlp"]
    assert blocks[1].sublayers[1].shared_gate


def test_qwen_3_normalises_queries_and_keys_where_qwen_2_has_biases():
    two, three = (from_huggingface(CASES[name], name).attentions[0] for name in ("qwen2", "qwen3"))
    assert (two.bias, two.qk_norm) == ("qkv", "none")
    assert (three.bias, three.qk_norm) == ("none", "rms")
