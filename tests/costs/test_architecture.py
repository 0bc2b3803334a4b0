"""The description: what is refused, and that it is plain data without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isostate.config import UserError
from isostate.costs.architecture import Architecture, Block, Norm, PatchEmbedding
from isostate.costs.feedforward import MLP
from isostate.costs.preset_table import find_preset
from tests.costs.architectures import RMS, gpt, stack

MLP_ALONE = {"kind": "mlp", "d_ff": 8, "activation": "gelu"}


def refused(**changes) -> str:
    values = stack(1, [MLP_ALONE], 8, 10).to_dict() | changes
    with pytest.raises(UserError) as caught:
        Architecture.parse(values, "test")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_survives_json_and_equal_ones_have_equal_hashes():
    one = find_preset("gemma-3-27b").architecture
    again = Architecture.parse(one.to_dict(), "json")
    assert again == one
    assert again.digest() == one.digest()
    assert again.digest() != find_preset("gemma-3-12b").architecture.digest()


def test_blocks_stand_in_the_order_they_run():
    model = find_preset("gemma-3-1b").architecture  # 26 layers, every sixth sees all
    assert [block.sublayers[0].window for block in model.blocks()] == ([512] * 5 + [None]) * 4 + [512] * 2
    assert model.n_blocks == 26
    assert sum(count for _, count in model.counted_blocks()) == 26
    assert len(model.counted_blocks()) == 7


def test_norms_stand_where_they_are_said_to():
    mlp = MLP(d_ff=8, activation="gelu")
    norm = Norm(kind="rms")
    assert Block(sublayers=(mlp, mlp), norm=norm).n_norms == 2
    assert Block(sublayers=(mlp, mlp), norm=norm, norms="sandwich").n_norms == 4
    assert Block(sublayers=(mlp, mlp), norm=norm, norms="shared", parallel=True).n_norms == 1
    assert Block(sublayers=(mlp,), norm=norm, norms="none").n_norms == 0
    assert (Norm(kind="layer", bias=True).n_params(8), Norm(kind="rms", gain=False).n_params(8)) == (16, 0)


def test_an_image_has_its_side_over_the_patchs_squared_patches_and_no_factor_of_channels():
    image = PatchEmbedding(image_size=256, patch_size=16)
    assert image.n_patches == 256
    assert image.n_patches != 256**2 * 3 // 16**2  # the note's 768 is the length of one patch
    assert image.linears(768)[0].d_in == 768
    assert image.n_positions == 257


def test_only_causal_models_with_a_head_over_tokens_generate():
    assert gpt(1, 8, 2, 10).generates
    assert not gpt(1, 8, 2, 10, causal=False).generates
    assert not find_preset("vit-b-16").architecture.generates
    assert not find_preset("clip-b-32").architecture.generates


def test_what_cannot_be_is_refused_in_one_line():
    assert "d_model" in refused(d_model=0)
    assert "head.kind" in refused(head={"kind": "tide"})
    assert "learned positions" in refused(embedding={"kind": "tokens", "vocab_size": 5, "positions": "learned"})
    assert "padded_from = 9: at most vocab_size = 5" in refused(
        embedding={"kind": "tokens", "vocab_size": 5, "padded_from": 9}
    )
    assert "patches have no vocabulary" in refused(
        embedding={"kind": "patches", "image_size": 8, "patch_size": 4}, head={"kind": "tied"}
    )
    assert "patch_size = 9: at most image_size = 8" in refused(
        embedding={"kind": "patches", "image_size": 8, "patch_size": 9}, head={"kind": "none"}
    )
    assert "only a pooled head" in refused(head={"kind": "tied", "outputs": 3})
    assert "groups" in refused(groups=[])
    assert "give at least one" in refused(groups=[{"count": 1, "blocks": [{"norm": RMS, "sublayers": []}]}])
    shared = {"norm": RMS, "norms": "shared", "sublayers": [MLP_ALONE]}
    assert "only parallel sublayers" in refused(groups=[{"count": 1, "blocks": [shared]}])
    assert 'did you mean "d_model"' in refused(d_modle=3)


def test_describing_and_counting_need_no_torch():
    code = """
import importlib.machinery, importlib.util, sys
folder = importlib.util.find_spec("isostate").submodule_search_locations[0] + "/costs"
spec = importlib.machinery.ModuleSpec("isostate.costs", None, is_package=True)  # its __init__ measures and builds
spec.submodule_search_locations = [folder]
sys.modules["isostate.costs"] = importlib.util.module_from_spec(spec)
from isostate.costs.formula import count_params
from isostate.costs.huggingface.read import from_huggingface
sizes = {"vocab_size": 50257, "n_positions": 1024, "n_embd": 768, "n_layer": 12, "n_head": 12}
assert count_params(from_huggingface({"model_type": "gpt2", **sizes}, "gpt2")).total == 124_439_808
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
