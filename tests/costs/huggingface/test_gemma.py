"""Gemma: wide heads, norms on both sides, five windowed layers to a full one; Gemma 3 with images."""

from __future__ import annotations

import pytest

from isostate.costs.formula import count_params
from isostate.costs.huggingface.read import from_huggingface
from isostate.costs.preset_table import find_preset
from tests.costs.huggingface.cases import CASES
from tests.costs.huggingface.refusals import refusal

LARGE = {"hidden_size": 2560, "intermediate_size": 10_240, "num_hidden_layers": 34, "sliding_window": 1024}


def test_gemma_2_windows_every_other_layer_and_gemma_3_five_of_six():
    two = from_huggingface(CASES["gemma2"], "f")
    assert [block.sublayers[0].window for block in two.blocks()] == [32, None, 32]
    three = from_huggingface(CASES["gemma3_text"], "f")
    assert [block.sublayers[0].window for block in three.blocks()] == [32] * 5 + [None] + [32] * 2
    pattern = from_huggingface(CASES["gemma3_text"] | {"sliding_window_pattern": 2}, "f")
    assert [block.sublayers[0].window for block in pattern.blocks()] == [32, None] * 4


def test_types_of_layers_go_before_the_rule():
    named = ["full_attention", "sliding_attention", "full_attention"]
    model = from_huggingface(CASES["gemma2"] | {"layer_types": named}, "f")
    assert [block.sublayers[0].window for block in model.blocks()] == [None, 32, None]
    says = "f: layer_types names 3 layers: must name num_hidden_layers = 8"
    assert refusal(CASES["gemma3_text"], layer_types=named) == says


@pytest.mark.parametrize("name, n_norms", [("gemma", 2), ("gemma2", 4), ("gemma3_text", 4)])
def test_gemma_normalises_on_both_sides_from_its_second_on(name, n_norms):
    assert from_huggingface(CASES[name], name).blocks()[0].n_norms == n_norms


def test_gemma_3s_file_with_images_gives_its_language_model_and_says_what_it_leaves_out():
    # The published file of the 4B gives these keys alone: the others are transformers' defaults.
    model = from_huggingface({"model_type": "gemma3", "text_config": LARGE, "vision_config": {}}, "f")
    assert count_params(model) == count_params(find_preset("gemma-3-4b").architecture)
    assert "SigLIP" in model.left_out


def test_a_missing_or_malformed_language_model_is_refused():
    assert refusal({"model_type": "gemma3"}) == "f: missing key 'text_config'; add it"
    assert refusal({"model_type": "gemma3", "text_config": []}).startswith("f: text_config")
    says = refusal({"model_type": "gemma3", "text_config": LARGE | {"num_key_value_heads": 3}})
    assert says == "f, text_config: num_key_value_heads = 3: must divide num_attention_heads = 8"
