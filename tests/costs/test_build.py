"""Presets whose blocks exist are built on meta tensors: their parameters are those that the formula counts."""

from __future__ import annotations

import pytest
import torch

from isostate.config import UserError
from isostate.costs import forward_cost
from isostate.costs.architecture import Architecture
from isostate.costs.build import missing_parts, to_model_config
from isostate.costs.formula import count_params, forward_cost_of, state_size_of
from isostate.costs.preset_table import find_preset, load_presets
from isostate.costs.sublayer import Run
from isostate.model import Decoder
from tests.costs.architectures import stack

BUILT = [name for name, preset in load_presets().items() if not missing_parts(preset.architecture)]
FAMILIES = {
    "GPT-2",
    "Gemma",
    "Jurassic-1",
    "LLaMA",
    "Llama 2",
    "Llama 3",
    "Mamba",
    "Mamba-2",
    "Megatron-Turing NLG",
    "Mistral",
    "OPT",
    "Qwen 1.5",
    "Qwen 2",
    "Qwen 2.5",
    "Qwen 3",
}


def test_these_families_build():
    assert {find_preset(name).family for name in BUILT} == FAMILIES


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILT)
def test_a_built_preset_has_the_parameters_that_the_formula_counts(name):
    architecture = find_preset(name).architecture
    config = to_model_config(architecture)
    with torch.device("meta"):
        model = Decoder(config)
    params = count_params(architecture)
    assert sum(one.numel() for one in model.parameters()) == params.total
    assert config.param_count() == params.to_param_count()
    assert config.state_size(100) == state_size_of(architecture, 100, 32)


def test_a_built_preset_costs_what_the_formula_counts():
    for name in ("gpt-2-124m", "llama-2-70b", "qwen-2.5-0.5b", "mamba-2.8b"):
        architecture = find_preset(name).architecture
        own = forward_cost(to_model_config(architecture), 2, 512).matmul_flops
        assert own == forward_cost_of(architecture, Run(2, 512)).matmul_flops


@pytest.mark.parametrize(
    "name, missing",
    [
        ("gpt-1", ["model without a last norm like the others", "norms after the sublayers"]),
        ("gpt-3-175b", ["banded attention"]),
        ("chinchilla-70b", ["rms norm without a gain", "relative positions"]),
        ("palm-8b", ["layer norm without a bias"]),
        ("pythia-70m", ["parallel sublayers with a norm each"]),
        ("phi-2", ["bias of the head"]),
        ("bloom-560m", ["norm behind the embedding"]),
        ("opt-350m", ["table narrower than the model", "model without a last norm like the others"]),
        ("gemma-2-2b", ["norms on both sides"]),
        ("mixtral-8x7b", ["mixture of experts"]),
        ("deepseek-v3", ["latent attention", "blocks that differ in more than their mixers"]),
        ("rwkv-4-169m", ["norm behind the embedding", "RWKV-4", "channel mixing of RWKV-4"]),
        ("vit-b-16", ["images", "head that is not one matrix", "attention both ways"]),
        ("clip-b-32", ["second tower", "head that is not one matrix"]),
    ],
)
def test_what_isostate_lacks_is_said_in_words(name, missing):
    found = missing_parts(find_preset(name).architecture)
    assert set(missing) <= set(found)
    with pytest.raises(UserError, match="cannot build this model yet, only count it: no ") as caught:
        to_model_config(find_preset(name).architecture)
    assert all(one in str(caught.value) for one in missing)
    assert "\n" not in str(caught.value)


def test_windows_positions_and_biases_are_carried_over():
    config = to_model_config(find_preset("mistral-7b").architecture)
    assert (config.mixer.kind, config.mixer.window, config.mixer.positions) == ("window", 4096, "rotary")
    config = to_model_config(find_preset("qwen-2.5-7b").architecture)
    assert (config.bias, config.mixer.n_kv_heads) == ("qkv", 4)
    config = to_model_config(find_preset("gpt-2-124m").architecture)
    assert (config.bias, config.position_embedding, config.max_context) == ("all", "learned", 1024)
    assert to_model_config(find_preset("opt-125m").architecture).max_context == 2048 + 2


def test_mamba_is_a_block_without_a_feed_forward():
    config = to_model_config(find_preset("mamba-130m").architecture)
    assert (config.mlp, config.mixer.kind, config.mixer.expand, config.mixer.rank) == ("none", "mamba", 2, 48)
    config = to_model_config(find_preset("mamba-2-2.7b").architecture)
    assert (config.mixer.n_heads, config.mixer.head_dim, config.mixer.d_state) == (80, 64, 128)


def test_layers_that_differ_in_their_mixers_are_a_stack():
    plain = {"kind": "attention", "n_heads": 2, "head_dim": 4, "positions": "rope"}
    mlp = {"kind": "mlp", "d_ff": 8, "activation": "swiglu"}
    one = stack(1, [plain, mlp], 8, 10)
    both = [{"sublayers": [plain | window, mlp]} for window in ({"window": 4}, {})]
    groups = [{"count": 3, "blocks": [one.blocks()[0].to_dict() | block for block in both]}]
    architecture = Architecture.parse(one.to_dict() | {"groups": groups}, "a stack")
    config = to_model_config(architecture)
    assert [mixer.kind for mixer in config.mixers] == 3 * ["window", "softmax"]
    with torch.device("meta"):
        model = Decoder(config)
    assert sum(p.numel() for p in model.parameters()) == count_params(architecture).total
    assert config.state_size(100) == state_size_of(architecture, 100, 32)


def test_some_biases_alone_are_not_built():
    attention = {"kind": "attention", "n_heads": 2, "head_dim": 4, "bias": "out"}
    mlp = {"kind": "mlp", "d_ff": 8, "activation": "gelu"}
    assert missing_parts(stack(1, [attention, mlp], 8, 10)) == ["biases of some linears alone"]
    assert missing_parts(stack(1, [attention | {"bias": "qkv"}, mlp], 8, 10)) == []
