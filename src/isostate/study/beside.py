"""Runs that another study in the same folder of runs has done: equal configs give equal bits, so one is not trained
twice but copied."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from isostate.config import UserError
from isostate.records import RunDirectory, durable


def done_beside(study_dir: Path, run_id: str) -> RunDirectory | None:
    """The run in the first of the other studies' folders that has it done; what cannot be read there is not."""
    for study in sorted(study_dir.parent.glob("[!.]*")):
        run = RunDirectory(study / run_id)
        if study != study_dir and _is_done(run):
            return run
    return None


def result_beside(study_dir: Path, run_id: str) -> dict[str, Any] | None:
    """What `done_beside` ended with."""
    found = done_beside(study_dir, run_id)
    return None if found is None else found.result()


def copy_beside(study_dir: Path, run_id: str) -> bool:
    """Whether the run has its result from another study's folder now. One that has a result stays."""
    target = RunDirectory(study_dir / run_id)
    found = None if target.result() is not None else done_beside(study_dir, run_id)
    if found is None:
        return False
    temporary = durable.temporary_name(target.path)
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(found.path, temporary, ignore=shutil.ignore_patterns("lock"))
    durable.put_in_place(temporary, target.path)
    return True


def _is_done(run: RunDirectory) -> bool:
    try:
        run.config()
        return (run.result() or {}).get("status") == "done"
    except (UserError, OSError):
        return False
