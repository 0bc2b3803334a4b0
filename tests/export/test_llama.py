"""isostate.export.llama: its config.json, old and new. Logits: test_huggingface.py."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.export.llama import LLAMA_TYPE, layout, read, write

FILE = {"vocab_size": 29, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4}


def test_defaults_are_transformers():
    config = read(FILE, "f")
    assert (config.mlp, config.norm, config.eps, config.bias, config.embeddings) == (
        "swiglu",
        "rms",
        1e-6,
        "none",
        "untied",
    )
    assert (config.mixer.n_kv_heads, config.mixer.head_dim, config.mixer.rotary.base) == (4, 6, 10_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_key_value_heads": 2, "head_dim": 10, "tie_word_embeddings": True},
        {"attention_bias": True, "rms_norm_eps": 1e-5},
        {"mlp_bias": True, "hidden_act": "gelu_pytorch_tanh"},
        {"rope_theta": 5e5, "attention_bias": True, "mlp_bias": True},
    ],
)
def test_a_config_comes_back_as_it_was(changes):
    config = read(FILE | changes, "f")
    assert read(LLAMA_TYPE.to_huggingface(config), "f") == config


def test_the_context_is_the_callers_or_what_scaling_reaches():
    plain = read(FILE, "f")
    assert "max_position_embeddings" not in write(plain, None)
    assert write(plain, 512)["max_position_embeddings"] == 512
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16}
    assert write(read(FILE | {"rope_scaling": rope}, "f"), None)["max_position_embeddings"] == 64


def test_queries_keys_and_values_lie_in_this_order_with_their_widths():
    found = layout(read(FILE | {"num_key_value_heads": 2}, "f"))["blocks.1.mixer.in_proj.weight"]
    at = "model.layers.1.self_attn."
    assert found.rows == {at + "q_proj.weight": 24, at + "k_proj.weight": 12, at + "v_proj.weight": 12}


def test_sizes_are_the_cost_readers_to_check():
    with pytest.raises(UserError, match="num_key_value_heads = 3: must divide num_attention_heads = 4"):
        read(FILE | {"num_key_value_heads": 3}, "f")
    with pytest.raises(UserError, match="missing key 'hidden_size'"):
        read({key: value for key, value in FILE.items() if key != "hidden_size"}, "f")
