"""A training checkpoint: safe files, equal bytes from equal runs, everything back where it was."""

from __future__ import annotations

import json
import math

import pytest
import safetensors.torch
import torch
from torch import nn

from isostate.config import UserError, digest
from isostate.records import RunDirectory, verify
from isostate.train.checkpoint import Progress, load, model_tensors, save
from isostate.train.optimizer import AdamW
from tests.train.conftest import lasting_bytes

SETTINGS = {"betas": (0.9, 0.99), "eps": 1e-8, "weight_decay": 0.1}


class Tied(nn.Module):
    """A tied pair, a kept and a passing buffer, a column-major weight: what safetensors is particular about."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.embedding = nn.Parameter(torch.randn(4, 3, generator=generator))
        self.head = self.embedding
        self.turned = nn.Parameter(torch.randn(2, 5, generator=generator).T)
        self.register_buffer("kept", torch.randn(2, generator=generator))
        self.register_buffer("passing", torch.randn(2, generator=generator), persistent=False)


def build(seed: int) -> tuple[Tied, AdamW]:
    model = Tied(seed)
    parameters = dict(model.named_parameters())
    optimizer = AdamW({"turned": parameters["turned"]}, {"embedding": parameters["embedding"]}, **SETTINGS)
    (model.embedding.sum() + (model.turned**2).sum()).backward()
    optimizer.step(0.1)
    return model, optimizer


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    run = RunDirectory(tmp_path / digest({"seed": 0})).create({"seed": 0})
    run.truncate(rows=0, step=0)
    return run


def test_model_optimizer_generator_and_place_come_back(run):
    model, optimizer = build(0)
    run.append_metric({"kind": "train", "step": 1})
    torch.manual_seed(5)
    checkpoint = save(run, model, optimizer, Progress(1, 0.1 + 0.2, 3, 1), keep=2)
    drawn = torch.rand(3)
    run.append_metric({"kind": "eval", "step": 1})
    run.append_timing(9, 1.0)
    other, other_optimizer = build(1)
    assert load(run, checkpoint, other, other_optimizer) == Progress(1, 0.1 + 0.2, 3, 1)
    assert torch.equal(torch.rand(3), drawn)
    assert run.metrics() == [{"kind": "train", "step": 1}]
    assert run.timing() == []
    for name, tensor in model_tensors(model).items():
        assert torch.equal(model_tensors(other)[name], tensor)
    for name, tensor in optimizer.tensors().items():
        assert torch.equal(other_optimizer.tensors()[name], tensor)
    assert other.head is other.embedding


def test_equal_runs_write_equal_bytes_and_nothing_unsafe(run, tmp_path):
    bytes_of = []
    for folder in ("a", "b"):
        other = RunDirectory(tmp_path / folder / run.run_id).create({"seed": 0})
        other.truncate(rows=0, step=0)
        torch.manual_seed(5)
        checkpoint = save(other, *build(0), Progress(3), keep=2)
        assert verify(checkpoint) == []
        bytes_of.append({path.name: path.read_bytes() for path in checkpoint.iterdir()})
    assert bytes_of[0] == bytes_of[1]
    assert set(bytes_of[0]) == {"model.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"}
    weights = safetensors.torch.load(bytes_of[0]["model.safetensors"])
    assert set(weights) == {"embedding", "turned", "kept"}
    assert json.loads(bytes_of[0]["state.json"])["data_position"] == 3


def test_only_the_newest_are_kept(run):
    model, optimizer = build(0)
    for step in (1, 2, 30):
        save(run, model, optimizer, Progress(step), keep=2)
    assert sorted(path.name for path in run.checkpoints.iterdir()) == ["step-00000002", "step-00000030"]


def test_a_checkpoint_of_another_run_is_refused_before_anything_changes(run, tmp_path):
    checkpoint = save(run, *build(0), Progress(1), keep=2)
    other = RunDirectory(tmp_path / digest({"seed": 1})).create({"seed": 1})
    model, optimizer = build(2)
    before = model.embedding.detach().clone()
    with pytest.raises(UserError, match=f"is of run {run.run_id}; move it away"):
        load(other, checkpoint, model, optimizer)
    assert torch.equal(model.embedding, before)


def test_the_running_loss_comes_back_to_the_bit(run):
    loss = math.pi * 1e3 + 1e-13
    checkpoint = save(run, *build(0), Progress(1, loss, 7), keep=1)
    assert load(run, checkpoint, *build(0)).loss_sum == loss


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.safetensors", "state.json", "MANIFEST.json"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(make_run, train, whole, name):
    run = make_run("damaged")
    train(run, stop_after=17)
    older, newest = sorted(run.checkpoints.iterdir())
    content = (newest / name).read_bytes()
    (newest / name).write_bytes(content[:40] + bytes([content[40] ^ 4]) + content[41:])
    outcome, events = train(run)
    warning = next(event["message"] for event in events if event["event"] == "warning")
    assert warning == f"damaged checkpoint ({newest.name}/{name}: SHA-256 differs): going on from {older.name}"
    assert events[0]["step"] == int(older.name.removeprefix("step-"))
    (event,) = [event for event in run.events() if event["event"] == "damaged checkpoint"]
    assert event["problems"] == [f"{newest.name}/{name}: SHA-256 differs"]
    assert outcome == "done"
    assert lasting_bytes(run) == whole[1]


def test_when_every_checkpoint_is_damaged_the_run_begins_again(make_run, train, whole):
    run = make_run("damaged")
    train(run, stop_after=17)
    for checkpoint in run.checkpoints.iterdir():
        (checkpoint / "state.json").write_bytes(b"")
    outcome, events = train(run)
    assert events[0]["step"] == 0
    assert "going on from the beginning" in events[1]["message"]
    assert outcome == "done"
    assert lasting_bytes(run) == whole[1]


def test_a_run_that_drops_ends_the_same_however_it_is_cut_and_blocks_may_run_again(make_run, train):
    dropping = {"dropout": 0.2, "mixer": {"kind": "softmax", "n_heads": 2, "head_dim": 8, "attention_dropout": 0.2}}
    whole = make_run("whole", model=dropping)
    assert train(whole)[0] == "done"
    for stop_after in (1, 7, 9):  # before the second step, in an evaluation, after it
        run = make_run(f"cut-{stop_after}", model=dropping)
        assert train(run, stop_after)[0] == "stopped"
        assert train(run)[0] == "done"
        assert lasting_bytes(run) == lasting_bytes(whole)
    again = make_run("again", model=dropping, recompute="blocks")
    assert train(again)[0] == "done"
    weights = [
        safetensors.torch.load_file(max(run.checkpoints.iterdir()) / "model.safetensors") for run in (whole, again)
    ]
    assert all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items())
    kept = make_run("kept")
    train(kept)
    assert lasting_bytes(kept)["metrics.jsonl"] != lasting_bytes(whole)["metrics.jsonl"], "dropout changes the losses"
