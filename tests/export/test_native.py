"""isostate.export.native: any mixer's model in a folder of ours, and out of a run's checkpoint."""

from __future__ import annotations

import json

import pytest
import safetensors.torch
import torch

from isostate.config import UserError, digest
from isostate.export import load_model, save_model, trained_context
from isostate.model import Decoder
from isostate.records import RunDirectory, write_checkpoint
from tests.mixers.cases import CASES, name_of
from tests.model.options import STACKS, config_of

STACK = config_of(STACKS["four"], n_layers=4)


def equal(a: Decoder, b: Decoder) -> bool:
    return a.config == b.config and all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


@pytest.mark.parametrize("mixer", CASES, ids=name_of)
def test_any_mixer_comes_back_bit_equal(mixer, tmp_path):
    model = Decoder(config_of(mixer), seed=3)
    assert save_model(model, tmp_path / "m") == ("isostate", ["config.json", "model.safetensors"])
    assert equal(load_model(tmp_path / "m"), model)
    assert trained_context(tmp_path / "m") is None


def test_a_stack_comes_back_from_shards_with_its_context(tmp_path):
    model = Decoder(STACK, seed=3)
    _, files = save_model(model, tmp_path / "m", context=64, shard_bytes=4_000)
    assert len(files) > 4
    assert equal(load_model(tmp_path / "m"), model)
    assert trained_context(tmp_path / "m") == 64


@pytest.fixture
def run(tmp_path):
    """A run directory with a model and the context that it was trained at, and no checkpoint."""
    config = {"model": STACK.to_dict(), "data": {"context": 32}}
    return RunDirectory(tmp_path / digest(config)).create(config)


def test_the_newest_checkpoint_of_a_run_is_read(run):
    for step in (10, 20):
        model = Decoder(STACK, seed=step)
        tensors = {name: p.detach().clone() for name, p in model.named_parameters()}
        write_checkpoint(run.checkpoints, step, {"model.safetensors": safetensors.torch.save(tensors)})
    assert equal(load_model(run.path), model)
    assert trained_context(run.path) == 32


def test_a_run_without_a_whole_checkpoint_says_so(run):
    with pytest.raises(UserError, match="no whole checkpoint: it has not trained that far"):
        load_model(run.path)
    saved = write_checkpoint(run.checkpoints, 10, {"model.safetensors": b"weights"})
    (saved / "model.safetensors").write_bytes(b"weighty")
    with pytest.raises(UserError, match=r"no whole checkpoint: .*SHA-256 differs"):
        load_model(run.path)


def test_another_folder_is_told_where_to_go(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UserError, match="no model of Isostate's; `isostate import` makes one"):
        load_model(tmp_path)


def test_tensors_that_do_not_belong_are_named(tmp_path):
    save_model(Decoder(STACK), tmp_path / "m")
    config = json.loads((tmp_path / "m" / "config.json").read_text())
    config["model"]["vocab_size"] += 1
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"embedding.weight has the sizes .29, 16., where the model has .30, 16."):
        load_model(tmp_path / "m")
    config["model"] |= {"vocab_size": 29, "n_layers": 8}
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"no tensor 'decoder.blocks.4"):
        load_model(tmp_path / "m")
    config["model"]["n_layers"] = 4
    config["model"]["mlp"] = "none"
    config["model"]["d_ff"] = 0
    (tmp_path / "m" / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="is no tensor of the model that"):
        load_model(tmp_path / "m")
