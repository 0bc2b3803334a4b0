"""Two trainings held against each other: every number that differs is found, at its update, with both values."""

from __future__ import annotations

import math

import pytest

from isostate.config import digest
from isostate.records import RunDirectory, compact
from isostate.records.checkpoints import write_checkpoint
from isostate.records.difference import compare, differing_environment, rows_of

CONFIG = {"model": {"mixer": {}}, "train": {"steps": 100}}
ENVIRONMENT = {"torch": "2.13", "threads": 1, "started": "then"}


def make(folder, changes: dict | None = None, weights: bytes = b"w", final: float = 2.0, environment=None):
    """A finished run of 100 rows; `changes`: {step: {name: value}}."""
    run = RunDirectory(folder / digest(CONFIG)).create(CONFIG)
    run.write_environment({**ENVIRONMENT, **(environment or {})})
    for step in range(1, 101):
        row = {"kind": "train", "step": step, "loss_nats": 1 / step, "grad_norm": 2.0, "lr": 0.1}
        run.append_metric({**row, **(changes or {}).get(step, {})})
        if step % 25 == 0:
            run.append_metric({"kind": "eval", "step": step, "context": 16, "loss_nats": final, "bits_per_byte": 1.0})
        run.append_timing(step, step)
    write_checkpoint(run.checkpoints, 100, {"model.safetensors": weights, "state.json": b"{}"})
    run.write_result({"status": "done", "reason": None, "final": {"16": final}, "train_flops": 1})
    return run


@pytest.fixture
def first(tmp_path):
    return make(tmp_path / "first")


def test_the_same_training_is_bit_equal_by_rows_and_by_hashes(first, tmp_path):
    again, record = make(tmp_path / "again"), compact(first, {})
    for rows in (rows_of(record, first), rows_of(record, None)):
        comparison = compare(record, rows, again, 100)
        assert comparison.equal
        assert (comparison.metrics, comparison.weights, comparison.result) == (True, True, True)
        assert comparison.n_rows == len(rows)
    assert len(rows_of(record, first)) == 104
    assert len(rows_of(record, None)) == 36


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({40: {"loss_nats": math.nextafter(1 / 40, 1)}}, "training loss"),
        ({40: {"grad_norm": 2.5}, 60: {"loss_nats": 9.0}}, "grad_norm"),
    ],
)
def test_the_first_update_that_differs_is_told_with_both_values(changes, what, first, tmp_path):
    again, record = make(tmp_path / "again", changes), compact(first, {})
    comparison = compare(record, rows_of(record, first), again, 100)
    difference = comparison.first_difference
    name, value = next(iter(changes[40].items()))
    assert (difference.step, difference.what, difference.retrained) == (40, what, value)
    assert difference.recorded == {"loss_nats": 1 / 40, "grad_norm": 2.0}[name]
    assert not comparison.equal
    assert compare(record, rows_of(record, first), again, 39).equal
    assert compare(record, rows_of(record, first), again, 39).metrics is None


def test_a_row_that_the_record_left_out_is_found_by_its_hash(first, tmp_path):
    record = compact(first, {})
    step = next(step for step in range(1, 101) if step not in record["train"]["step"])
    comparison = compare(record, rows_of(record, None), make(tmp_path / "again", {step: {"loss_nats": 5.0}}), 100)
    assert comparison.first_difference is None
    assert (comparison.equal, comparison.metrics, comparison.weights) == (False, False, True)


def test_other_weights_and_another_result_are_told(first, tmp_path):
    record = compact(first, {})
    other = compare(record, [], make(tmp_path / "weights", weights=b"v"), 100)
    assert (other.equal, other.metrics, other.weights, other.result) == (False, True, False, True)
    other = compare(record, rows_of(record, None), make(tmp_path / "result", final=2.5), 100)
    assert (other.result, other.first_difference.what) == (False, "held-out loss at context 16")
    assert (other.first_difference.step, other.first_difference.recorded, other.first_difference.retrained) == (
        25, 2.0, 2.5,
    )  # fmt: skip


def test_a_row_that_is_not_there_the_second_time_differs(first, tmp_path):
    again = make(tmp_path / "again")
    lines = (again.path / "metrics.jsonl").read_bytes().splitlines(keepends=True)
    (again.path / "metrics.jsonl").write_bytes(b"".join(lines[:50]))
    record = compact(first, {})
    difference = compare(record, rows_of(record, first), again, 100).first_difference
    assert difference.retrained is None
    assert difference.recorded == 1 / difference.step


def test_what_differs_in_the_environment_is_named_but_not_when_it_was(first, tmp_path):
    again = make(tmp_path / "again", environment={"torch": "2.14", "code": "new", "started": "now"})
    differing = {"torch": ("2.13", "2.14"), "code": (None, "new")}
    assert differing_environment(first.environment(), again.environment()) == differing
    assert compare(compact(first, {}), [], again, 100).environment == differing
    assert differing_environment(None, None) == {}
