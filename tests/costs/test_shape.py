"""isostate.costs.shape: plain numbers for layouts, against counts of the whole model."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.costs.formula import count_params, forward_cost_of
from isostate.costs.preset_table import find_preset, load_presets
from isostate.costs.shape import shape_of
from isostate.costs.sublayer import Run
from tests.costs.torch_free import imports_without_torch

REFUSED = {"CLIP", "DeepSeek-V2", "DeepSeek-V3", "Mamba", "Mamba-2", "RWKV-4", "ViT"}


def test_parameters_are_the_presets_but_for_the_last_norms():
    for preset in load_presets().values():
        if preset.family in REFUSED:
            continue
        total = count_params(preset.architecture).total
        assert abs(shape_of(preset.architecture, preset.name).n_params - total) <= 4 * preset.architecture.d_model


@pytest.mark.parametrize("name", ["llama-3-8b", "gpt-3-175b", "mixtral-8x7b", "qwen-1.5-moe-a2.7b", "gpt-2-124m"])
def test_flops_are_the_formulas(name):
    architecture = find_preset(name).architecture
    forward = forward_cost_of(architecture, Run(2, 1024)).matmul_flops
    assert shape_of(architecture, name).train_flops(2048, 1024) == pytest.approx(3 * forward, rel=2e-3)  # biases, norms


def test_experts_stand_apart():
    shape = shape_of(find_preset("mixtral-8x7b").architecture, "mixtral-8x7b")
    assert (shape.n_experts, shape.experts_per_token, shape.d_expert, shape.d_ff) == (8, 2, 14_336, 0)
    assert shape.expert_params == 3 * 4096 * 14_336
    assert shape.active_params == pytest.approx(12_879_925_248, rel=0.011)  # of both tables a token meets one


@pytest.mark.parametrize("name", ["mamba-2.8b", "deepseek-v3", "clip-b-32", "rwkv-4-7b"])
def test_what_layouts_cannot_split_is_refused(name):
    with pytest.raises(UserError, match=f"{name}: --fit-on splits models of equal blocks"):
        shape_of(find_preset(name).architecture, name)


def test_images_are_refused():
    with pytest.raises(UserError, match="reads images"):
        shape_of(find_preset("vit-b-16").architecture, "vit-b-16")


def test_it_waits_for_no_torch():
    assert imports_without_torch("shape")
