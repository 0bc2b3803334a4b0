"""The journal: rows are counted, seconds written once a step, events not faster than a terminal."""

from __future__ import annotations

import pytest

from isostate.config import digest
from isostate.records import RunDirectory
from isostate.train import journal as module
from isostate.train.journal import Journal


@pytest.fixture
def run(tmp_path) -> RunDirectory:
    return RunDirectory(tmp_path / digest({})).create({})


def test_rows_are_counted_from_those_that_are_there(run):
    run.append_metric({"kind": "train", "step": 1})
    journal = Journal(run, lambda event: None, step=1)
    journal.append("train", 2, loss_nats=3.0)
    assert journal.rows == len(run.metrics()) == 2
    assert run.metrics()[-1] == {"kind": "train", "step": 2, "loss_nats": 3.0}


def test_seconds_go_on_from_those_recorded_and_are_written_once_a_step(run):
    run.append_timing(4, 2.5)
    journal = Journal(run, lambda event: None, step=4)
    journal.time(4)
    journal.train_s += 1.0
    journal.time(5)
    journal.time(5)
    assert run.timing() == [{"step": 4, "train_s": 2.5}, {"step": 5, "train_s": 3.5}]


def test_step_events_are_few_and_the_last_step_always_tells(run, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    events = []
    journal = Journal(run, events.append, step=0)
    for step in range(1, 101):
        now[0] += 0.01
        journal.train_s += 0.01
        journal.emit_step(step, 100, 64, 2.0)
    steps = [event["step"] for event in events]
    assert steps[0] == 1
    assert steps[-1] == 100
    assert len(steps) <= 7
    assert events[2]["tokens_per_s"] == pytest.approx(6400)
    assert {event["run_id"] for event in events} == {run.run_id}
