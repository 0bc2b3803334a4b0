"""isostate.export.gpt2: its config.json, and what of it is refused. Logits: test_huggingface.py."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.export.gpt2 import GPT2_TYPE, layout, read

FILE = {"vocab_size": 29, "n_positions": 64, "n_embd": 24, "n_layer": 2, "n_head": 3}


def test_defaults_are_those_of_the_published_files():
    config = read(FILE, "f")
    assert (config.mlp, config.norm, config.eps, config.bias) == ("gelu-tanh", "layer", 1e-5, "all")
    assert (config.embeddings, config.d_ff, config.max_context, config.dropout) == ("tied", 96, 64, 0.1)
    assert read(GPT2_TYPE.to_huggingface(config), "f") == config


@pytest.mark.parametrize(("key", "value"), [("scale_attn_weights", False), ("scale_attn_by_inverse_layer_idx", True)])
def test_other_scales_of_the_scores_are_refused(key, value):
    with pytest.raises(UserError, match=f"f: {key} = {value}: Isostate has only"):
        read(FILE | {key: value}, "f")


def test_an_activation_that_we_lack_is_refused():
    with pytest.raises(UserError, match='activation_function = "quick_gelu"'):
        read(FILE | {"activation_function": "quick_gelu"}, "f")


def test_matrices_alone_are_turned():
    found = layout(read(FILE, "f"))
    turned = {name for name, weight in found.items() if weight.turned}
    assert turned == {f"blocks.{n}.{part}.{one}_proj.weight" for n in (0, 1) for part in ("mixer", "mlp")
                      for one in ("in", "out")}  # fmt: skip
