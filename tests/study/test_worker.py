"""isostate.study.worker: in this process, but for its own main."""

from __future__ import annotations

import io
import json
import subprocess
import sys

import pytest

from isostate.data import resolve
from isostate.records import RunDirectory
from isostate.study.grid import expand
from isostate.study.worker import Channel, work
from tests.study import tiny


@pytest.fixture
def runs(tmp_path):
    """Directories of three runs that have not begun."""
    study = tiny.study(tiny.corpus(tmp_path / "text"))
    cells = expand(study, "", {d.text: d.fingerprint for d in [resolve(study.data.at(16))]})[0]
    return [RunDirectory(tmp_path / "tiny" / cell.run_id).create(cell.config.to_dict()) for cell in cells]


def orders_of(runs, cache) -> io.StringIO:
    return io.StringIO("".join(json.dumps({"run_dir": str(run.path), "cache": str(cache)}) + "\n" for run in runs))


def worked(runs, cache, stream=None) -> list[dict]:
    stream = stream or io.StringIO()
    work(orders_of(runs, cache), Channel(stream))
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_it_trains_what_it_is_told_and_says_what_became_of_it(runs, tmp_path):
    events = worked(runs, tmp_path / "cache")
    assert events[0]["event"] == "ready"
    finished = [event for event in events if event["event"] == "finished"]
    assert finished == [{"event": "finished", "run_id": run.run_id, "status": "done"} for run in runs]
    assert [run.status() for run in runs] == ["done"] * 3


def test_a_mistake_and_a_refusal_of_the_system_are_a_line_each_and_the_next_run_follows(runs, tmp_path):
    (runs[0].path / "FORMAT").write_text("2\n")
    (runs[1].path / "checkpoints").write_text("a file in the way")
    events = worked(runs, tmp_path / "cache")
    failed = {event["run_id"]: event["message"] for event in events if event["event"] == "failed"}
    assert "run directory of format 2" in failed[runs[0].run_id]
    assert "a file stands where a folder must be" in failed[runs[1].run_id]
    assert runs[2].status() == "done"


def test_when_nobody_listens_any_more_it_saves_and_stops(runs, tmp_path):
    class Deaf(io.StringIO):
        def write(self, text):
            if '"event": "step"' in text:
                raise BrokenPipeError
            return super().write(text)

    events = worked(runs, tmp_path / "cache", Deaf())
    assert [event["event"] for event in events] == ["ready", "start"]
    assert runs[0].status() == "stopped"
    assert list((runs[0].path / "checkpoints").glob("step-*"))
    assert runs[1].status() == "pending"


def test_its_stdout_holds_events_alone():
    worker = [sys.executable, "-m", "isostate.study.worker"]
    done = subprocess.run(worker, input="", capture_output=True, text=True, check=True, timeout=120)
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["ready"]
