"""isostate.study.reproduce: which run is meant, and its second training, cut off or not."""

from __future__ import annotations

import shutil

import pytest

from isostate.cli import main
from isostate.config import UserError
from isostate.records import RunDirectory, run_directories
from isostate.study.reproduce import compared, find_run, retrain
from tests.cli.conftest import finished, trained

__all__ = ["finished", "trained"]


@pytest.fixture
def target(finished):
    """A run of the tiny study, and the folder that its second training is in."""
    run = run_directories(finished / "runs" / "tiny")[0]
    return find_run(run.run_id[:6], None, finished / "runs"), finished / "runs"


def go(target, runs, steps=10, stop_at=None):
    events: list[dict] = []

    def should_stop() -> bool:
        return stop_at is not None and any(event.get("step", 0) >= stop_at for event in events)

    outcome = retrain(target, steps, runs, runs / ".cache", events.append, should_stop)
    return outcome, events


def test_a_run_is_found_by_folder_name_and_beginning_in_records_or_folders(finished):
    runs = finished / "runs"
    first, second, _ = [run.run_id for run in run_directories(runs / "tiny")]
    for run, study in ((first, None), (first[:5], "tiny"), (str(runs / "tiny" / first), None), (first, "tiny.toml")):
        assert find_run(run, study, runs).record["run_id"] == first
    assert len(find_run(first, "tiny.toml", runs).rows) == 5 + 2 * 2
    main(["collect", "tiny.toml"])
    assert find_run(first, "tiny.toml", runs).origin == "records/tiny.jsonl"
    assert find_run(first, "tiny", runs).origin == str(runs / "tiny" / first)
    shutil.rmtree(runs)
    assert find_run(second, "tiny.toml", runs).run_id == second


def test_what_is_no_run_or_more_than_one_is_refused(finished):
    runs = finished / "runs"
    for run, study, words in (
        ("", None, "is no run: give its folder"),
        ("xyz", None, "'xyz' is no run"),
        ("0" * 16, None, "no run 0000000000000000 in .*; give its study, --study"),
        ("0" * 16, "tiny.toml", "in the records of tiny.toml"),
        ("00", "nowhere", "no records of nowhere"),
    ):
        with pytest.raises(UserError, match=words):
            find_run(run, study, runs)
    first = run_directories(runs / "tiny")[0]
    twin = runs / "tiny" / (first.run_id[:8] + "0" * 8)
    shutil.copytree(first.path, twin)
    with pytest.raises(UserError, match=f"begins 2 names: .*{twin.name}"):
        find_run(first.run_id[:8], None, runs)
    (first.path / "result.json").unlink()
    with pytest.raises(UserError, match="has no result yet"):
        find_run(first.run_id, None, runs)


@pytest.mark.slow
def test_the_second_training_is_bit_equal_and_begins_anew_when_asked_again(target):
    outcome, events = go(*target)
    assert outcome.statuses == {target[0].run_id: "done"}
    comparison = compared(target[0], 10, target[1])
    assert comparison.equal
    assert (comparison.metrics, comparison.weights, comparison.result) == (True, True, True)
    assert comparison.environment == {}
    (plan,) = [event for event in events if event["event"] == "plan"]
    assert plan["runs"][0]["predicted_s"] > 0
    run = RunDirectory(target[1] / ".reproduce" / target[0].run_id)
    (run.path / "of the first").touch()
    go(*target)
    assert not (run.path / "of the first").exists()


@pytest.mark.slow
def test_one_that_was_cut_off_goes_on_and_ends_with_the_same_bits(target):
    outcome, _ = go(*target, stop_at=2)
    assert outcome.stopped
    assert RunDirectory(target[1] / ".reproduce" / target[0].run_id).status() == "stopped"
    outcome, events = go(*target)
    assert next(event["step"] for event in events if event["event"] == "start") >= 2
    assert compared(target[0], 10, target[1]).equal


@pytest.mark.slow
def test_another_environment_begins_anew(target):
    go(*target, stop_at=2)
    path = target[1] / ".reproduce" / target[0].run_id / "environment.json"
    path.write_text(path.read_text().replace('"threads":1', '"threads":2'))
    _, events = go(*target)
    assert [event["step"] for event in events if event["event"] == "start"] == [0]


def test_steps_that_are_not_recorded_are_refused(target):
    assert target[0].check_steps(None) == 10
    assert target[0].check_steps(4) == 4
    for steps in (0, 1, 11):
        with pytest.raises(UserError, match=f"--steps {steps}: .* the updates 2 to 10 are recorded"):
            target[0].check_steps(steps)
