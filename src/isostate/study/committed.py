"""A study's records as they are committed beside its file: written from a folder of runs, and made runs again.

On a fresh clone `run` begins where they end. Where they hold every run of the study as the file stands, nothing is
planned, measured or read but them: not the text either, which need not be there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isostate.config import UserError
from isostate.data import DataConfig
from isostate.records import (
    Committed,
    Record,
    RunDirectory,
    compact,
    origin_of,
    read_committed,
    restore,
    write_committed,
)
from isostate.records.locks import is_locked
from isostate.study.file import StudyFile
from isostate.study.remember import read_plan, study_sha256, write_plan

# Of a plan's row, what the run's own facts do not say.
PLANNED = (
    "role",
    "size",
    "knob",
    "d_ff",
    "wanted_state",
    "state_error",
    "peak_bytes",
    "step_s",
    "step_measured",
    "predicted_s",
)
OF_WINDOWS = {"context", "documents", "fingerprint"}  # keys of the data that do not say which text it is


def collect(study_dir: Path, file: StudyFile) -> tuple[Path, int, int]:
    """Writes `file.records` from the finished runs of the study's plan: the path, how many, and how many are missing.

    Raises UserError where `study_dir` was run from other values of the file, or no run has ended.
    """
    plan = read_plan(study_dir)
    again = f"run it (isostate run {file.path})"
    if plan is None:
        raise UserError(f"{study_dir} holds no plan of this version; {again}, which trains nothing that has its result")
    if plan["study_sha256"] != study_sha256(file.values):
        raise UserError(f"{study_dir} was run from other values than {file.path} has now; {again} first")
    rows = {row["run_id"]: {name: row[name] for name in PLANNED} for row in plan["runs"] if row["run_id"]}
    ended = {run_id: RunDirectory(study_dir / run_id) for run_id in rows}
    ended = {run_id: run for run_id, run in ended.items() if run.result() is not None}
    if not ended:
        raise UserError(f"{study_dir}: no run has ended, so there is nothing to collect; {again}")
    study = {
        "study_sha256": plan["study_sha256"],
        "settled": plan["settled"],
        **{name: plan[name] for name in ("data", "rates", "notices")},
        "planned": sorted(rows),
    }
    write_committed(file.records, study, {run_id: compact(run, rows[run_id]) for run_id, run in ended.items()})
    return file.records, len(ended), len(plan["runs"]) - len(ended)


def committed_of(file: StudyFile) -> Committed | None:
    """The committed records beside a study's file, every line verified; None where there are none. Raises UserError."""
    return read_committed(file.records) if file.name is not None and file.records.is_file() else None


def all_beside(file: StudyFile) -> list[Committed]:
    """The study's own records first, then those of the studies beside it: runs that two of them ask for train once."""
    own = committed_of(file)
    others = sorted(path for path in file.records.parent.glob("*.jsonl") if path != file.records)
    return [*([] if own is None else [own]), *(read_committed(path) for path in others)]


def recorded(committed: Sequence[Committed], run_id: str) -> Record | None:
    """The run in the first of the records that hold it."""
    return next((one.records[run_id] for one in committed if run_id in one.records), None)


def covers(committed: Committed, file: StudyFile) -> bool:
    """Whether the records are every run that the file, as it stands, asks for."""
    study = committed.study
    return study["study_sha256"] == study_sha256(file.values) and study["settled"] and not committed.missing


def restore_whole(committed: Committed, file: StudyFile, study_dir: Path) -> None:
    """Puts the runs and the plan of records that cover the file into `study_dir`, under its lock."""
    study = committed.study
    for run_id in study["planned"]:
        restore_run([committed], run_id, study_dir)
    remembered = {name: study[name] for name in ("settled", "rates", "notices")}
    write_plan(study_dir, file, study["data"], {**remembered, "runs": planned_rows(committed)})


def restore_run(committed: Sequence[Committed], run_id: str, study_dir: Path) -> bool:
    """Whether the run has its result from the records now. One that was trained here, or is being, stays."""
    record = recorded(committed, run_id)
    run = RunDirectory(study_dir / run_id)
    if record is None or is_locked(run.path / "lock"):
        return False
    if run.path.exists() and run.result() is not None:
        origin = origin_of(run)
        if origin is None or origin == record:
            return origin is not None
    restore(record, study_dir)
    return True


def planned_rows(committed: Committed) -> list[dict[str, Any]]:
    """The plan's rows, as `run` remembers them."""
    aside = ("format", "status", "reason", "final")
    return [
        {
            **{name: value for name, value in record["result"].items() if name not in aside},
            "mixer": record["config"]["model"]["mixer"],
            **record["plan"],
        }
        for record in committed.records.values()
    ]


def data_of(committed: Sequence[Committed], texts: dict[str, DataConfig]) -> dict[str, DataConfig]:
    """`texts` with the fingerprints of the records', where they are the same by their configs; else as they are."""
    found = dict(texts)
    for one in committed:
        found = {name: _recorded(data, one.study["data"].get(name, {})) for name, data in found.items()}
    return found


def _recorded(data: DataConfig, recorded: dict[str, Any]) -> DataConfig:
    wanted = {name: value for name, value in data.to_dict().items() if name not in OF_WINDOWS}
    same = wanted == {name: value for name, value in recorded.items() if name not in OF_WINDOWS}
    return data if data.fingerprint or not same else data.model_copy(update={"fingerprint": recorded["fingerprint"]})
