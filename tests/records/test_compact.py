"""A run's compact record: what it keeps, that it is verified, and that a run directory comes back from it."""

from __future__ import annotations

import copy
import hashlib
import itertools

import pytest

from isostate.config import UserError, digest
from isostate.records import RunDirectory, compact, origin_of, restore, table
from isostate.records.checkpoints import write_checkpoint
from isostate.records.compact import TRAIN_ROWS, checked, metrics_of, sha256_of
from isostate.records.durable import json_bytes

CONFIG = {"seed": 1, "model": {"mixer": {"kind": "window", "window": 8}}}
PLAN = {"role": "sweep", "predicted_s": 2.0}
STEPS = 200


@pytest.fixture
def run(tmp_path):
    """A finished run of 200 logged updates, evaluated at two contexts every 50."""
    run = RunDirectory(tmp_path / "study" / digest(CONFIG)).create(CONFIG)
    facts = {"run_id": run.run_id, "family": "window", "mixer": CONFIG["model"]["mixer"], "seed": 1}
    run.write_environment({"torch": "2.13", "started": "then"})
    run.write_facts(facts)
    for step in range(1, STEPS + 1):
        run.append_metric({"kind": "train", "step": step, "loss_nats": 7 / 3 / step, "grad_norm": 1.0, "lr": 0.1})
        run.append_timing(step, step / 8)
        if step % 50 == 0:
            for context in (16, 32):
                run.append_metric({"kind": "eval", "step": step, "context": context, "loss_nats": 1 / step / context})
    write_checkpoint(run.checkpoints, STEPS, {"model.safetensors": b"weights", "state.json": b"{}"})
    by_position = {"edges": [0, 1, 16], "loss_nats": [3.0, 2.0]}
    run.write_result({**facts, "status": "done", "reason": None, "final": {"16": {"by_position": by_position}}})
    return run


def test_it_keeps_every_evaluation_the_result_and_an_even_part_of_the_curve_to_the_bit(run):
    record = compact(run, PLAN)
    steps = record["train"]["step"]
    assert len(steps) == TRAIN_ROWS
    assert (steps[0], steps[-1]) == (1, STEPS)
    assert max(b - a for a, b in itertools.pairwise(steps)) == STEPS // TRAIN_ROWS + 1
    assert record["train"]["loss_nats"] == [7 / 3 / step for step in steps]
    assert record["eval"]["32"] == {
        "step": [50, 100, 150, 200],
        "loss_nats": [1 / step / 32 for step in (50, 100, 150, 200)],
    }
    assert record["result"]["final"]["16"]["by_position"]["loss_nats"] == [3.0, 2.0]
    assert record["config"] == CONFIG
    assert len(json_bytes(record)) < (run.path / "metrics.jsonl").stat().st_size / 3


def test_a_run_directory_comes_back_that_pages_read_as_the_first(run, tmp_path):
    record = compact(run, PLAN)
    again = restore(record, tmp_path / "clone")
    assert (again.result(), again.facts(), again.config()) == (run.result(), run.facts(), run.config())
    (before,), (after,) = table(tmp_path / "study"), table(tmp_path / "clone")
    assert {**after, "run_dir": "", "curve": []} == {**before, "run_dir": "", "curve": []}
    kept = {point["step"]: point for point in before["curve"]}
    assert after["curve"] == [
        {**kept[point["step"]], "train_loss_nats": point["train_loss_nats"]} for point in after["curve"]
    ]
    assert origin_of(run) is None
    assert origin_of(again) == record == compact(again, PLAN)
    moved = compact(again, {"role": "another"})
    assert {**moved, "plan": PLAN, "sha256": record["sha256"]} == record
    assert checked(moved, "f")["plan"] == {"role": "another", "predicted_s": 2.0}


def test_a_directory_without_a_result_is_replaced(run, tmp_path):
    record = compact(run, PLAN)
    half = RunDirectory(tmp_path / "clone" / run.run_id).create(CONFIG)
    half.append_metric({"kind": "train", "step": 1, "loss_nats": 99.0})
    again = restore(record, tmp_path / "clone")
    assert again.metrics() == metrics_of(record)
    assert again.status() == "done"
    assert [path.name for path in (tmp_path / "clone").iterdir()] == [run.run_id]


def test_rows_come_in_the_order_of_the_run(run):
    rows = metrics_of(compact(run, PLAN))
    whole = [(row["step"], row["kind"], row.get("context")) for row in run.metrics()]
    kept = [(row["step"], row["kind"], row.get("context")) for row in rows]
    assert kept == [place for place in whole if place in kept]


def test_the_hashes_are_of_all_rows_and_of_the_weights(run):
    first = compact(run, PLAN)
    lines = (run.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    row = next(n for n, line in enumerate(lines) if b'"step":2}' in line)  # a row that was not kept
    lines[row] = lines[row].replace(b'"grad_norm":1.0', b'"grad_norm":1.5')
    (run.path / "metrics.jsonl").write_bytes(b"".join(lines))
    second = compact(run, PLAN)
    assert first["train"] == second["train"]
    assert first["metrics_sha256"] != second["metrics_sha256"]
    assert first["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()


def test_an_altered_record_and_one_of_another_config_are_refused(run):
    record = compact(run, PLAN)
    assert checked(record, "f") == record
    altered = copy.deepcopy(record)
    altered["result"]["final"]["16"]["by_position"]["loss_nats"][0] = 2.5
    with pytest.raises(UserError, match=rf"f: the record of run {run.run_id} was altered \(SHA-256 differs\)"):
        checked(altered, "f")
    for other in ([], {"run_id": "a"}):
        with pytest.raises(UserError, match="no record of a run"):
            checked(other, "f")


def test_a_record_under_another_runs_name_is_refused_though_its_hash_holds(run):
    body = {name: value for name, value in compact(run, PLAN).items() if name != "sha256"}
    body["run_id"] = "0" * 16
    with pytest.raises(UserError, match="is of another config"):
        checked({**body, "sha256": sha256_of(body)}, "f")
