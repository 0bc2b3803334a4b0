"""isostate.export.mapping: parts joined and split, and an option that a model type has not is named."""

from __future__ import annotations

import pytest
import torch

from isostate.config import UserError
from isostate.export import TYPES, save_huggingface, type_of
from isostate.export.mapping import Weight, activation, must_be, word_of
from isostate.model import Decoder, ModelConfig

SIZES = {"vocab_size": 11, "n_layers": 2, "d_model": 16}
ROTARY = {"kind": "softmax", "positions": "rotary"}
GPT2 = {
    **{"mixer": {"kind": "softmax"}, "mlp": "gelu-tanh", "norm": "layer", "bias": "all"},
    **{"position_embedding": "learned", "max_context": 32},
}


def test_parts_are_joined_and_split_again():
    a, b = torch.randn(3, 4), torch.randn(2, 4)
    weight = Weight({"a": 3, "b": 2})
    joined = weight.join({"a": a, "b": b}.__getitem__)
    assert torch.equal(joined, torch.cat([a, b]))
    assert {name: x.tolist() for name, x in weight.split(joined).items()} == {"a": a.tolist(), "b": b.tolist()}


def test_a_turned_matrix_is_transposed_both_ways_and_its_bias_is_not():
    weight, matrix, vector = Weight({"a": None}, turned=True), torch.randn(3, 4), torch.randn(3)
    assert torch.equal(weight.join(lambda name: matrix), matrix.T)
    assert torch.equal(weight.split(matrix.T)["a"], matrix)
    assert torch.equal(weight.join(lambda name: vector), vector)


# A model, the type that it is nearest to, and the option that this type has not.
LOST = {
    "rms norms in gpt2": (GPT2 | {"norm": "rms"}, "norm = rms: .* gpt2 has no such option"),
    "rotary in gpt2": (GPT2 | {"mixer": ROTARY}, r"mixer.positions = rotary: .* gpt2"),
    "grouped heads in gpt2": (GPT2 | {"mixer": {"kind": "softmax", "n_kv_heads": 2}}, r"mixer.n_kv_heads = 2: .* gpt2"),
    "no bias in gpt2": (GPT2 | {"bias": "none"}, "bias = none"),
    "relu squared in llama": ({"mixer": ROTARY, "mlp": "squared-relu"}, 'mlp = "squared-relu": .* has only'),
    "parallel blocks in llama": ({"mixer": ROTARY, "block": "parallel"}, "block = parallel: .* llama"),
    "a convolution in llama": ({"mixer": ROTARY, "conv_taps": 4}, "conv_taps = 4: .* llama"),
    "capped logits in llama": ({"mixer": ROTARY, "logit_cap": 30.0}, "logit_cap = 30.0: .* llama"),
    "query norms in llama": ({"mixer": ROTARY | {"qk_norm": "rms"}}, r"mixer.qk_norm = rms: .* llama"),
    "no positions in llama": ({"mixer": {"kind": "softmax"}}, r"mixer.positions = none: .* llama"),
    "ntk in llama": ({"mixer": ROTARY | {"rotary": {"scaling": "ntk", "factor": 2}}}, 'scaling = "ntk"'),
    "biases in mistral": ({"mixer": ROTARY | {"kind": "window", "window": 4}, "bias": "all"}, "bias = all: .* mistral"),
    "sinks in mistral": (
        {"mixer": ROTARY | {"kind": "window", "window": 4, "sinks": 2}},
        r"mixer.sinks = 2: .* mistral",
    ),
    "an mlp in mamba": ({"mixer": {"kind": "mamba"}}, "mlp = swiglu: .* mamba"),
    "a norm of its own in mamba2": (
        {"mixer": {"kind": "mamba2", "norm_eps": 1e-3}, "mlp": "none", "norm_eps": 1e-5},
        "mixer.norm_eps = 0.001: .* mamba2",
    ),
    "linear attention": ({"mixer": {"kind": "linear"}}, "mixer linear: no model type of Hugging Face's has it"),
    "a stack": ({"mixer": ["mamba2", "linear"]}, "no model type of Hugging Face's has it"),
}


@pytest.mark.parametrize("name", LOST)
def test_what_a_type_has_not_is_named_and_nothing_is_written(name, tmp_path):
    values, words = LOST[name]
    with pytest.raises(UserError, match=words) as raised:
        save_huggingface(Decoder(ModelConfig.parse(SIZES | values, "m")), tmp_path / "out")
    assert "--format isostate" in str(raised.value)
    assert not list(tmp_path.iterdir())


def test_a_dropout_that_llama_has_not_is_no_obstacle():
    config = ModelConfig.parse(SIZES | {"mixer": ROTARY, "dropout": 0.1}, "m")
    assert type_of(config).to_huggingface(config)["model_type"] == "llama"


def test_every_type_writes_null_for_tokens_that_are_not_ours():
    config = ModelConfig.parse(SIZES | GPT2, "m")
    written = TYPES["gpt2"].to_huggingface(config)
    assert written["eos_token_id"] is written["bos_token_id"] is None


def test_words_of_activations_go_both_ways_and_others_are_refused():
    words = {"gelu_new": "gelu-tanh", "gelu_fast": "gelu-tanh", "relu": "relu"}
    assert activation(words, "act", "gelu_fast", "f") == "gelu-tanh"
    assert word_of(words, "gelu-tanh") == "gelu_new"
    with pytest.raises(UserError, match='f: act = "quick_gelu": Isostate has no such activation'):
        activation(words, "act", "quick_gelu", "f")


def test_an_option_that_must_be_is_named():
    must_be("f", {"a": True}, {"a": True})
    with pytest.raises(UserError, match="f: a = False: Isostate has only a = True"):
        must_be("f", {"a": False}, {"a": True})
