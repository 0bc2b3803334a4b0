"""isostate.cli.run, from outside: real processes, tiny models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from isostate.cli import main
from isostate.records import RunDirectory, table
from tests.study import tiny

ISOSTATE = "import sys; from isostate.cli import main; sys.exit(main())"


@pytest.fixture
def start(here):
    """start(*arguments) -> a process of `isostate run tiny.toml --json`; none outlives its test."""
    with ExitStack() as processes:

        def run(*arguments: str) -> subprocess.Popen:
            command = [sys.executable, "-c", ISOSTATE, "run", "tiny.toml", "--json", *arguments]
            process = subprocess.Popen(command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            processes.enter_context(process)  # at the end: closes its pipes and waits for it
            processes.callback(process.kill)
            return process

        yield run


def events_until(process: subprocess.Popen, kind: str, **values) -> list[dict]:
    """What it says up to the first event of this kind; all of it where there is none."""
    assert process.stdout is not None
    events = []
    for line in process.stdout:
        events.append(json.loads(line))
        if events[-1]["event"] == kind and all(events[-1].get(name) == value for name, value in values.items()):
            break
    return events


def started(events: list[dict]) -> list[str]:
    return [event["run_id"] for event in events if event["event"] == "start"]


@pytest.fixture
def here(tmp_path):
    """A study of two runs, not yet run."""
    tiny.corpus(tmp_path / "text")
    tiny.write(tmp_path / "tiny.toml", tiny.values("text", sweep=[{"mixer": "window", "window": [4, 8]}]))
    return tmp_path


LONG = ("--set", "train.steps=100000", "--set", "eval.every=100000", "--set", "train.checkpoint_every=100000")


def test_a_finished_study_trains_nothing_and_needs_no_torch(finished, capsys):
    assert main(["run", "tiny.toml"]) == 0
    told = capsys.readouterr().out
    assert "nothing to train: every run has its result" in told
    assert "power-2" in told
    assert told.strip().endswith("report: runs/tiny/report.html")
    code = "import sys; from isostate.cli import main; main(['run', 'tiny.toml']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_report_is_made_again_when_the_records_changed(finished, capsys):
    page = finished / "runs" / "tiny" / "report.html"
    page.write_text("old")
    assert main(["run", "tiny.toml"]) == 0
    assert page.read_text() == "old"
    study = finished / "runs" / "tiny" / "study.json"
    study.write_text(study.read_text().replace("Does it run?", "Does it?"))
    assert main(["run", "tiny.toml"]) == 0
    assert "Does it?" in page.read_text()


@pytest.mark.slow
def test_a_killed_workers_run_is_reported_and_the_next_run_goes_on(here, start):
    process = start("--jobs", "1", "--set", "train.steps=3000", "--set", "eval.every=3000")
    events = events_until(process, "ready")
    events += events_until(process, "step")
    os.kill(pid_of(events), signal.SIGKILL)
    events += events_until(process, "report")
    assert process.wait(60) == 1
    (died,) = [event for event in events if event["event"] == "died"]
    assert "killed (SIGKILL" in died["message"]
    assert len(started(events)) == len(set(started(events))) == 2
    assert "1 run died with their workers; run the same command" in process.stderr.read()
    assert RunDirectory(here / "runs" / "tiny" / died["run_id"]).status() == "died"

    again = start("--jobs", "1", "--set", "train.steps=3000", "--set", "eval.every=3000")
    assert started(events_until(again, "report")) == [died["run_id"]]
    assert again.wait(60) == 0


def pid_of(events: list[dict]) -> int:
    return next(event["pid"] for event in events if event["event"] == "ready")


@pytest.mark.slow
def test_of_two_runs_at_once_the_second_waits_and_nothing_is_done_twice(here, start):
    first = start("--jobs", "1")
    events = events_until(first, "ready")
    second = start("--jobs", "1")
    waited = events_until(second, "report")
    events += events_until(first, "report")
    assert (first.wait(60), second.wait(60)) == (0, 0)
    assert len(started(events + waited)) == 2
    assert sorted(row["run_id"] for row in table(here / "runs" / "tiny")) == sorted(started(events + waited))
    told = [event["message"] for event in waited if event["event"] == "waiting"]
    assert told == [] or f"in use by process {first.pid}" in told[0]


@pytest.mark.slow
@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_every_run_and_says_how_to_go_on(here, start, number, code):
    process = start("--jobs", "2", *LONG)
    events_until(process, "step")
    process.send_signal(number)
    rest = events_until(process, "never")
    assert process.wait(60) == code
    assert "run the same command to go on" in process.stderr.read()
    statuses = [event["status"] for event in rest if event["event"] == "finished"]
    assert "stopped" in statuses
    assert {row["status"] for row in table(here / "runs" / "tiny")} <= {"stopped", "pending"}
    assert list((here / "runs" / "tiny").glob("*/checkpoints/step-*"))
