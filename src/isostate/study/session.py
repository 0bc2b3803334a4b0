"""`run`: from a checked study to results in its folder, under the study's lock; doing only what is missing.

A study with lr = "tune" has stages: each trains what is known by then, tuning runs and whatever their results ask for,
and all runs of the families whose rates are found.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from isostate.records import Committed, RunDirectory, durable, run_directories
from isostate.study.beside import copy_beside
from isostate.study.committed import restore_run
from isostate.study.config import StudyConfig
from isostate.study.execute import Emit, Orders, Outcome, execute
from isostate.study.file import StudyFile
from isostate.study.plan import Plan, Row, Texts, make_plan, prepare_data
from isostate.study.pool import Worker
from isostate.study.remember import write_plan


@dataclass(frozen=True)
class Session:
    """One `run`. `cache` holds the prepared data (data/) and measured steps; `jobs` workers train what is not among the
    `committed` records."""

    file: StudyFile
    study: StudyConfig
    data: Texts
    study_dir: Path
    cache: Path
    jobs: int
    retry_diverged: bool
    emit: Emit
    should_stop: Callable[[], bool]
    committed: Sequence[Committed] = ()


def carry_out(session: Session) -> Outcome:
    """Plans, tunes, trains; under the study's lock. Emits "plan" (rows, missing ids, jobs) before each stage,
    then what workers say.

    The outcome counts runs trained now; those that had their results already are not in it.
    """
    outcome = Outcome()
    retried: set[str] = set()
    said: set[str] = set()
    while True:
        plan = _planned(session)
        notices = [notice for notice in [*plan.notices, *_strangers(session.study_dir, plan)] if notice not in said]
        for notice in notices:
            session.emit({"event": "notice", "message": notice})
        said.update(notices)
        rows = [plan.row(cell) for cell in plan.known]
        _restore(session, rows, retried)
        if session.retry_diverged:
            retried |= _clear_diverged(session, rows, retried)
        missing = [row for row in rows if _result(session, row["run_id"]) is None]
        session.emit(
            {
                "event": "plan",
                "runs": plan.rows(),
                "missing": [row["run_id"] for row in missing],
                "jobs": session.jobs,
                "rates": plan.rates,
            }
        )
        if missing:
            _merge(outcome, _train(session, plan, missing))
        unfinished = [row for row in rows if _result(session, row["run_id"]) is None]
        if plan.settled or unfinished or outcome.problem or outcome.stopped:
            return outcome


def _planned(session: Session) -> Plan:
    """The plan as far as it is known now, remembered in the study's folder."""
    steps = session.cache / "steps.json"
    plan = make_plan(session.study, session.data, partial(_result, session), steps, str(session.file.path))
    remembered = {"settled": plan.settled, "rates": plan.rates, "notices": plan.notices, "runs": plan.rows()}
    write_plan(
        session.study_dir, session.file, {name: text.to_dict() for name, text in session.data.items()}, remembered
    )
    return plan


def _restore(session: Session, rows: list[Row], retried: set[str]) -> None:
    """Runs that the committed records hold, or other studies here, as run directories; not what is to train again."""
    ids = [row["run_id"] for row in rows]
    found = [run_id not in retried and restore_run(session.committed, run_id, session.study_dir) for run_id in ids]
    if any(found):
        where = session.committed[0].path.parent
        said = f"{sum(found)} of {len(found)} runs are from the records in {where}, every hash verified"
        session.emit({"event": "notice", "message": said})
    copied = sum(run_id not in retried and copy_beside(session.study_dir, run_id) for run_id in ids)
    if copied:
        said = f"{copied} of {len(ids)} runs are copies: other studies in {session.study_dir.parent} have them done"
        session.emit({"event": "notice", "message": said})


def _train(session: Session, plan: Plan, missing: list[Row]) -> Outcome:
    prints = {name: text.fingerprint for name, text in session.data.items()}
    prepare_data(session.study, session.cache / "data", prints)
    configs = {cell.run_id: cell.config for cell in plan.known}
    for row in missing:
        run_id = row["run_id"]
        RunDirectory(session.study_dir / run_id).create(configs[run_id].to_dict())
    queue = sorted(
        (row["run_id"] for row in missing), key={r["run_id"]: -r["predicted_s"] for r in missing}.__getitem__
    )
    threads = session.study.train.threads
    orders = Orders(session.study_dir, session.cache / "data", queue, session.jobs)
    return execute(orders, lambda number: Worker(number, threads), session.emit, session.should_stop)


def _clear_diverged(session: Session, rows: list[Row], already: set[str]) -> set[str]:
    """Removes the records of diverged runs, once, so that they train again from the beginning."""
    cleared = set()
    for row in rows:
        run_id = row["run_id"]
        result = _result(session, run_id)
        if run_id not in already and result is not None and result["status"] == "diverged" and row["role"] == "sweep":
            folder = session.study_dir / run_id
            shutil.rmtree(folder.rename(durable.temporary_name(folder)))
            cleared.add(run_id)
    return cleared


def _strangers(study_dir: Path, plan: Plan) -> list[str]:
    """Runs in the folder that this plan does not name: of an earlier version of the file, say."""
    known = {cell.run_id for cell in [*plan.tuning, *plan.cells]}
    strangers = [run.run_id for run in run_directories(study_dir) if run.run_id not in known]
    if not strangers or not plan.settled:
        return []
    advice = "they stay in its report until you move their folders away"
    return [f"{study_dir} holds {len(strangers)} runs that the study file no longer asks for: {advice}"]


def _result(session: Session, run_id: str) -> dict[str, Any] | None:
    return RunDirectory(session.study_dir / run_id).result()


def _merge(outcome: Outcome, stage: Outcome) -> None:
    outcome.statuses |= stage.statuses
    outcome.deaths |= stage.deaths
    outcome.problem = stage.problem
    outcome.stopped = stage.stopped
