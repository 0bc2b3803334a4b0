"""A run: however often it is cut it ends with the same bytes; it never takes a step that is not finite."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time

import pytest
import torch

from isostate.config import UserError
from isostate.records import table
from isostate.records import verify as problems_of
from isostate.train import RunConfig, loop
from tests.train.conftest import lasting_bytes

WORKER = """
import sys
from pathlib import Path
from isostate.train import train_run
train_run(Path(sys.argv[1]), Path(sys.argv[2]), lambda event: print(event["event"], flush=True), lambda: False)
"""


def test_a_run_leaves_what_the_design_asks_for(whole, train):
    run, _ = whole
    config = RunConfig.parse(run.config(), "config.json")
    rows = run.metrics()
    assert [(row["kind"], row["step"], row.get("context")) for row in rows] == [
        ("train", 3, None),
        ("eval", 4, 16),
        ("eval", 4, 40),
        ("train", 6, None),
        ("eval", 8, 16),
        ("eval", 8, 40),
        ("train", 9, None),
        ("train", 12, None),
        ("eval", 12, 16),
        ("eval", 12, 40),
    ]
    assert all(0 < row["loss_nats"] < 10 for row in rows)
    result = run.result()
    assert (result["status"], result["reason"], result["run_id"]) == ("done", None, run.run_id)
    assert result["n_tokens"] == 12 * 64
    assert result["n_params"]["total"] == sum(
        parameter.numel() for parameter in loop.Decoder(config.model, 0).parameters()
    )
    assert set(result["final"]) == {"16", "40"}
    assert result["final"]["40"]["n_tokens"] == 160
    assert result["final"]["40"]["loss_nats"] == rows[-1]["loss_nats"]
    assert result["final"]["40"]["by_position"]["edges"] == [0, 1, 2, 4, 8, 16, 32, 40]
    assert run.environment()["threads"] == 1
    assert [path.name for path in sorted(run.checkpoints.iterdir())] == ["step-00000010", "step-00000012"]
    assert {row["step"] for row in run.timing()} >= {3, 4, 5, 6, 8, 9, 10, 12}
    (row,) = table(run.path.parent)
    assert row["train_s"] > 0
    assert [point["step"] for point in row["curve"]] == [3, 4, 6, 8, 9, 12]
    assert all(point["train_s"] > 0 for point in row["curve"])


def test_training_learns(whole):
    first, *_, last = [row["loss_nats"] for row in whole[0].metrics() if row["kind"] == "train"]
    assert last < first - 0.5


def test_a_finished_run_is_left_as_it_is(whole, train):
    run, before = whole
    times = {path: path.stat().st_mtime_ns for path in run.path.rglob("*") if path.name != "lock"}
    assert train(run) == ("done", [])
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert lasting_bytes(run) == before


@pytest.mark.parametrize("mixer", ["softmax", "power"])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_resume_equals_uninterrupted(make_run, train, mixer, accumulate):
    whole = make_run("whole", mixer, accumulate=accumulate)
    train(whole)
    begun_at = []
    for stop_after in (0, 1, 4, 9, 23):  # before any step, between, in an evaluation, in the last evaluation
        run = make_run(f"cut-{stop_after}", mixer, accumulate=accumulate)
        assert train(run, stop_after)[0] == "stopped"
        assert run.status() == "stopped"
        outcome, events = train(run)
        assert outcome == "done"
        begun_at.append(events[0]["step"])
        assert lasting_bytes(run) == lasting_bytes(whole)
    assert begun_at[:2] == [0, 1]
    assert begun_at[-1] == 12


def test_a_run_cut_at_every_question_ends_the_same(make_run, train, whole):
    run = make_run("cut")
    outcomes = []
    for _ in range(100):
        outcomes.append(train(run, stop_after=1 + len(outcomes) % 5)[0])
        if outcomes[-1] == "done":
            break
    assert outcomes[-1] == "done"
    assert len(outcomes) > 5
    assert lasting_bytes(run) == whole[1]


def test_rows_and_temporary_files_after_the_checkpoint_are_undone(make_run, train, whole):
    """What a kill may leave: rows of steps that will be done again, a torn line, half a checkpoint."""
    run = make_run("killed")
    train(run, stop_after=9)
    for name in ("metrics.jsonl", "timing.jsonl", "events.jsonl"):
        with (run.path / name).open("ab") as file:
            file.write(b'{"kind":"train","loss_nats":9.0,"step":11,"train_s":1e9}\n{"kind":"tr')
    (run.checkpoints / ".step-00000011.tmp-1").mkdir()
    (run.path / ".result.json.tmp-1").write_bytes(b"{")
    assert train(run)[0] == "done"
    assert lasting_bytes(run) == whole[1]
    assert not list(run.path.rglob("*.tmp-*"))
    assert max(row["train_s"] for row in run.timing()) < 1e6


@pytest.fixture
def poison(monkeypatch):
    """poison("loss") makes update 8 of every run not finite; returns what is seen of the model just before it."""

    def plant(what: str) -> dict:
        seen: dict = {}

        class Poisoned(loop._Training):
            def _gradients(self):
                loss, norm = super()._gradients()
                if self.progress.step != 7:
                    return loss, norm
                seen["model"] = self.model
                seen["weights"] = {name: p.detach().clone() for name, p in self.model.named_parameters()}
                return (loss * math.nan, norm) if what == "loss" else (loss, norm * math.inf)

        monkeypatch.setattr(loop, "_Training", Poisoned)
        return seen

    return plant


@pytest.mark.parametrize("what, value", [("loss", "nan"), ("gradient norm", "inf")])
def test_a_step_that_is_not_finite_is_not_taken(make_run, train, poison, what, value):
    seen = poison(what)
    run = make_run()
    outcome, events = train(run)
    assert outcome == "diverged"
    assert events[-1] == {"event": "end", "run_id": run.run_id, "status": "diverged"}
    reason = f"non-finite {what} ({value}) at update 8"
    assert run.metrics()[-1] == {"kind": "stop", "step": 8, "reason": reason}
    result = run.result()
    assert (result["status"], result["reason"], result["final"]) == ("diverged", reason, {})
    assert run.status() == "diverged"
    assert all(torch.equal(p, seen["weights"][name]) for name, p in seen["model"].named_parameters())
    assert [problems_of(checkpoint) for checkpoint in run.checkpoints.iterdir()] == [[]]
    assert train(run) == ("diverged", [])


def test_a_diverging_run_cut_before_its_result_ends_the_same(make_run, train, poison):
    poison("loss")
    whole, cut = make_run("whole"), make_run("cut")
    train(whole)
    train(cut, stop_after=8)
    cut.append_metric(whole.metrics()[-1])  # killed between the row and the result
    assert train(cut)[0] == "diverged"
    assert lasting_bytes(cut)["metrics.jsonl"] == lasting_bytes(whole)["metrics.jsonl"]
    assert lasting_bytes(cut)["result.json"] == lasting_bytes(whole)["result.json"]


def test_weights_that_are_not_finite_stop_at_the_first_loss(make_run, train, monkeypatch):
    class Broken(loop.Decoder):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.final_norm.gain.data[3] = math.nan

    monkeypatch.setattr(loop, "Decoder", Broken)
    run = make_run()
    assert train(run)[0] == "diverged"
    assert run.result()["reason"] == "non-finite loss (nan) at update 1"


def test_accumulation_is_the_large_batch(make_run, train):
    losses = {}
    for accumulate in (1, 2, 4):
        run = make_run(accumulate=accumulate)
        train(run)
        losses[accumulate] = [row["loss_nats"] for row in run.metrics()]
    assert losses[2] == pytest.approx(losses[1], rel=1e-4)
    assert losses[4] == pytest.approx(losses[1], rel=1e-4)


def test_seeds_differ_and_a_seed_repeats(make_run, train):
    runs = [make_run("a", seed=1), make_run("b", seed=1), make_run("c", seed=2)]
    for run in runs:
        train(run)
    weights = [(run.checkpoints / "step-00000012" / "model.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1] != weights[2]


def test_threads_and_determinism_are_the_processes_own_afterwards(make_run, train):
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state()
    train(make_run())
    assert before[:2] == (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled())
    assert torch.equal(before[2], torch.get_rng_state())


def test_a_run_in_training_is_refused_to_a_second_process(make_run, train, monkeypatch):
    monkeypatch.setattr("isostate.records.locks.PATIENCE_S", 0.0)
    run = make_run()
    with run.lock(), pytest.raises(UserError, match=f"run {run.run_id} is in use by process {os.getpid()}"):
        train(run)
    assert train(run)[0] == "done"


def test_a_held_out_text_too_short_is_told_before_training(make_run, train, corpus, tmp_path):
    (tmp_path / "short").mkdir()
    for name in "ab":
        (tmp_path / "short" / f"{name}.txt").write_text("a few words only, more than one context\n")
    run = make_run()
    config = run.config()
    config["data"] = {**config["data"], "corpus": str(tmp_path / "short"), "fingerprint": ""}
    config = RunConfig.parse(config, "test")
    short = type(run)(tmp_path / config.digest()).create(config.to_dict())
    with pytest.raises(UserError, match="context"):
        train(short)
    assert short.metrics() == []


def test_a_vocabulary_that_is_not_the_tokenizers_is_refused(make_run, train, tmp_path):
    config = make_run().config()
    config["model"]["vocab_size"] = 300
    config = RunConfig.parse(config, "test")
    run = type(make_run())(tmp_path / config.digest()).create(config.to_dict())
    with pytest.raises(UserError, match=r"model.vocab_size = 300: the tokenizer 'bytes' has 256; set it to that"):
        train(run)


def test_a_full_disk_rises_and_the_run_goes_on_later(make_run, train, whole, monkeypatch):
    run = make_run("full")
    write = loop.save

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop, "save", full)
    with pytest.raises(OSError, match="No space left"):
        train(run)
    assert run.status() == "died"
    monkeypatch.setattr(loop, "save", write)
    assert train(run)[0] == "done"
    assert lasting_bytes(run) == whole[1]


def test_events_tell_the_progress(whole, make_run, train):
    _, events = train(make_run("told"))
    kinds = [event["event"] for event in events]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert {"step", "eval", "checkpoint"} <= set(kinds)
    last = [event for event in events if event["event"] == "step"][-1]
    assert (last["step"], last["steps"]) == (12, 12)
    assert last["tokens_per_s"] > 0
    assert all(event["run_id"] == whole[0].run_id for event in events)
    json.dumps(events)


@pytest.mark.slow
def test_killed_at_ten_random_instants_it_ends_with_the_same_bytes(make_run, train, cache):
    settings = {"steps": 800, "checkpoint_every": 7, "log_every": 3}
    whole, run = make_run("whole", "power", **settings), make_run("killed", "power", **settings)
    began = time.monotonic()
    assert train(whole)[0] == "done"
    seconds = time.monotonic() - began
    instants = random.Random(0)
    for kill in range(10):
        worker = start_worker(run, cache)
        if kill % 4 == 3:  # anywhere: while it imports, reads its checkpoint, trains
            time.sleep(instants.uniform(0, 4))
        else:
            assert worker.stdout.readline() == b"start\n"
            time.sleep(instants.uniform(0, seconds / 16))
        worker.kill()
        worker.communicate()
        assert worker.returncode == -signal.SIGKILL, "it ended before it was killed: make the run longer"
        assert run.status() == "died"
    worker = start_worker(run, cache)
    worker.communicate()
    assert worker.returncode == 0
    assert [event["event"] for event in run.events()].count("resumed") >= 5
    assert lasting_bytes(run) == lasting_bytes(whole)


def start_worker(run, cache) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", WORKER, str(run.path), str(cache)], stdout=subprocess.PIPE)
