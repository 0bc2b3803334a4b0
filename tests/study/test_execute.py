"""isostate.study.execute, with workers that only pretend."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from isostate.records import Ledger
from isostate.study.execute import Orders, execute
from isostate.study.pool import Worker

FAKE = Path(__file__).with_name("fake_worker.py")


def start(number: int, *arguments: str) -> Worker:
    return Worker(number, threads=1, command=(sys.executable, str(FAKE), *arguments))


@pytest.fixture
def go(tmp_path):
    """go({run id: what happens to it}, jobs=…) -> (outcome, events)."""

    def run(acts: dict[str, str], jobs: int = 1, should_stop=lambda: False, start=start):
        for run_id, act in acts.items():
            (tmp_path / run_id).mkdir()
            (tmp_path / run_id / "act").write_text(act)
        events: list[dict] = []
        orders = Orders(tmp_path, tmp_path / "cache", list(acts), jobs)
        return execute(orders, start, events.append, should_stop), events

    run.study_dir = tmp_path
    return run


def statuses_of(study_dir: Path) -> dict[str, str]:
    ledger = Ledger(study_dir)
    try:
        return {row["run_id"]: row["status"] for row in ledger.rows()}
    finally:
        ledger.close()


def test_every_run_is_trained_once_by_as_many_workers_as_asked_for(go):
    outcome, events = go({"a": "done", "b": "diverged", "c": "done"}, jobs=2)
    assert outcome.statuses == {"a": "done", "b": "diverged", "c": "done"}
    assert statuses_of(go.study_dir) == outcome.statuses
    assert sorted(event["run_id"] for event in events if event["event"] == "start") == ["a", "b", "c"]
    assert len([event for event in events if event["event"] == "ready"]) == 2


def test_no_more_workers_are_started_than_there_are_runs(go):
    _, events = go({"a": "done"}, jobs=4)
    assert len([event for event in events if event["event"] == "ready"]) == 1


@pytest.mark.parametrize("act, words", [("die", "killed (SIGKILL"), ("raise", "RuntimeError: not enough memory")])
def test_a_death_takes_its_run_alone_and_is_reported_and_not_retried(go, act, words):
    outcome, events = go({"a": act, "b": "done", "c": "done"})
    assert outcome.statuses == {"a": "died", "b": "done", "c": "done"}
    assert words in outcome.deaths["a"]
    (died,) = [event for event in events if event["event"] == "died"]
    assert (died["run_id"], died["worker"]) == ("a", 0)
    assert [event["run_id"] for event in events if event["event"] == "start"] == ["a", "b", "c"]
    assert statuses_of(go.study_dir)["a"] == "died"
    assert outcome.problem is None


def test_what_the_user_must_mend_ends_it_and_the_others_stop(go):
    outcome, events = go({"a": "wait", "b": "fail", "c": "done"}, jobs=2)
    assert outcome.problem == "runs/x: no space left on device; free some space"
    assert outcome.statuses == {"a": "stopped", "b": "died"}
    assert not outcome.stopped
    assert "stopping" in [event["event"] for event in events]
    assert not (go.study_dir / "c" / "trained").exists()


def test_a_signal_stops_every_worker_and_gives_no_more_runs(go):
    began = time.monotonic()
    asked = []

    def should_stop():
        asked.append(1)
        return len(asked) > 20  # about two seconds: both have started

    outcome, _ = go({"a": "wait", "b": "wait", "c": "done"}, jobs=2, should_stop=should_stop)
    assert outcome.stopped
    assert set(outcome.statuses.values()) == {"stopped"}
    assert "c" not in outcome.statuses
    assert time.monotonic() - began < 30


def test_a_worker_that_cannot_start_ends_it_at_once(go):
    outcome, _ = go({"a": "done", "b": "done"}, start=lambda number: start(number, "broken"))
    assert "a worker could not start: ended with code 1: no module named torch" in outcome.problem
    assert "isostate doctor" in outcome.problem
    assert outcome.statuses == {"a": "died"}


def test_no_worker_outlives_what_rises(go):
    workers = []

    def start_one(number):
        workers.append(start(number))
        return workers[-1]

    def should_stop():
        if workers and workers[0].ready:
            raise ValueError("from outside")
        return False

    with pytest.raises(ValueError, match="from outside"):
        go({"a": "wait"}, should_stop=should_stop, start=start_one)
    assert workers[0].end(grace_s=30) is not None


def test_a_run_cut_off_last_time_is_noticed(go):
    (go.study_dir / "a").mkdir()
    ledger = Ledger(go.study_dir)
    ledger.put("a", "running", pid=2**22 + 1)  # above any process number
    ledger.close()
    (go.study_dir / "a").rmdir()
    _, events = go({"a": "done"})
    assert any("run a was cut off last time" in event.get("message", "") for event in events)
