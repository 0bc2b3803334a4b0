"""isostate.export.mistral: its window. Logits: test_huggingface.py."""

from __future__ import annotations

from isostate.export.mistral import MISTRAL_TYPE, read

FILE = {
    **{"vocab_size": 29, "hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2},
    **{"num_attention_heads": 4, "num_key_value_heads": 2},
}


def test_the_window_is_the_files_or_transformers_default():
    assert read(FILE, "f").mixer.window == 4096
    config = read(FILE | {"sliding_window": 7}, "f")
    assert (config.mixer.kind, config.mixer.window) == ("window", 7)
    assert read(MISTRAL_TYPE.to_huggingface(config), "f") == config


def test_no_window_sees_all_earlier_positions():
    assert read(FILE | {"sliding_window": None}, "f").mixer.kind == "softmax"
