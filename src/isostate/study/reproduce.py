"""One run trained again, from its committed record or its directory, and held against what it was.

The second training stands in runs/.reproduce/<run>. One that was cut off goes on; one that ended, or began in another
environment, is thrown away and begins anew.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from isostate.config import UserError
from isostate.records import Record, RunDirectory, compact, origin_of, run_directories
from isostate.records.difference import Comparison, compare, differing_environment, rows_of
from isostate.study.committed import committed_of
from isostate.study.execute import Emit, Orders, Outcome, execute
from isostate.study.file import find_study, read_study
from isostate.study.pool import Worker
from isostate.train import environment_of

FOLDER = ".reproduce"  # hidden: no study
SHOWN = 4  # names of runs in a message


@dataclass(frozen=True)
class Target:
    """A run to train again: its record, where that stands, and the rows that are left of the first training."""

    record: Record
    origin: str
    rows: list[dict[str, Any]]

    @property
    def run_id(self) -> str:
        return self.record["run_id"]

    @property
    def steps(self) -> int:
        return self.record["config"]["train"]["steps"]

    def check_steps(self, steps: int | None) -> int:
        """How many updates to compare. Raises UserError where none of them is recorded, or the run has fewer."""
        if steps is None:
            return self.steps
        first = min((row["step"] for row in self.rows), default=self.steps)
        if not first <= steps <= self.steps:
            raise UserError(
                f"--steps {steps}: of run {self.run_id} the updates {first:,} to {self.steps:,} are recorded; "
                f"give a number of these, or leave it out"
            )
        return steps


def find_run(run: str, study: str | None, runs: Path) -> Target:
    """`run`: a run's folder, or its name or the beginning of it, looked for in the committed records and the folder of
    `study`, or, without it, in all studies under `runs`. Raises UserError."""
    if (Path(run) / "FORMAT").is_file():
        return _of_directory(RunDirectory(Path(run)))
    if not re.fullmatch("[0-9a-f]{1,16}", run):
        raise UserError(f"{run!r} is no run: give its folder, or (the beginning of) its name, hexadecimal digits")
    found: dict[str, Callable[[], Target]] = {}
    for directory in _directories(study, runs):
        found.setdefault(directory.run_id, partial(_of_directory, directory))
    found |= _committed(study)
    names = sorted(name for name in found if name.startswith(run))
    if not names:
        where = f"the records of {study}" if study else f"{runs}; give its study, --study STUDY.toml, or its folder"
        raise UserError(f"no run {run} in {where}")
    if len(names) > 1:
        more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        raise UserError(f"{run} begins {len(names)} names: {', '.join(names[:SHOWN])}{more}; give more of it")
    return found[names[0]]()


def retrain(
    target: Target, steps: int, runs: Path, cache: Path, emit: Emit, should_stop: Callable[[], bool]
) -> Outcome:
    """Trains until update `steps` has all its rows, or until `should_stop()`. Raises UserError for another text."""
    run = RunDirectory(runs / FOLDER / target.run_id)
    config = target.record["config"]
    _begin_anew_if_needed(run, config["train"]["threads"])
    run.create(config)
    if steps < target.steps and max((row["step"] for row in run.metrics()), default=0) > steps:
        return Outcome()
    beyond = False

    def hear(event: dict[str, Any]) -> None:
        nonlocal beyond
        if event["event"] == "step":
            beyond = beyond or event["step"] > steps
            event = {**event, "steps": steps, "step": min(event["step"], steps)}
        emit(event)

    row = {**target.record["result"], "predicted_s": _seconds(target.record) * steps / target.steps}
    emit({"event": "plan", "runs": [row], "missing": [target.run_id], "jobs": 1, "rates": {}})
    orders = Orders(run.path.parent, cache / "data", [target.run_id], jobs=1)
    threads = config["train"]["threads"]
    outcome = execute(orders, lambda number: Worker(number, threads), hear, lambda: beyond or should_stop())
    outcome.stopped = outcome.stopped and not beyond
    return outcome


def compared(target: Target, steps: int, runs: Path) -> Comparison:
    """The second training against the first."""
    return compare(target.record, target.rows, RunDirectory(runs / FOLDER / target.run_id), steps)


def _begin_anew_if_needed(run: RunDirectory, threads: int) -> None:
    if not run.path.exists():
        return
    other = run.environment() and differing_environment(run.environment(), environment_of(threads))
    if other or run.result() is not None:
        shutil.rmtree(run.path)


def _directories(study: str | None, runs: Path) -> list[RunDirectory]:
    if study is None:
        folders = sorted(path.parent for path in runs.glob("*/study.json"))
        return [directory for folder in folders for directory in run_directories(folder)]
    if Path(study).is_file():
        name = read_study(Path(study)).name
        return run_directories(runs / name) if name else []
    return run_directories(find_study(study, runs))


def _committed(study: str | None) -> dict[str, Callable[[], Target]]:
    """Targets of a study file's committed records, by run id."""
    if study is None or not Path(study).is_file():
        return {}
    committed = committed_of(read_study(Path(study)))
    if committed is None:
        return {}
    origin = str(committed.path)
    return {run_id: partial(_of_record, record, origin) for run_id, record in committed.records.items()}


def _of_record(record: Record, origin: str) -> Target:
    return Target(record, origin, rows_of(record, None))


def _of_directory(run: RunDirectory) -> Target:
    run.config()  # first, since it refuses foreign and newer directories
    if run.result() is None:
        raise UserError(f"{run.path} has no result yet, so there is nothing to compare with; run its study first")
    restored = origin_of(run) is not None
    record = compact(run, {})
    return Target(record, str(run.path), rows_of(record, None if restored else run))


def _seconds(record: Record) -> float:
    """Of the first training, on the machine that it was on."""
    return max(record["timing"]["train_s"], default=0.0)
