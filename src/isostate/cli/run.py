"""`isostate run`: plans, trains what is missing, fits, writes the report. The main job.

A finished study is recognised without torch, in a fraction of the time that importing it takes.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from isostate.cli import show
from isostate.cli.interrupt import Interrupt, interruptible
from isostate.cli.options import RUNS, JobsOption, JsonOption, RunsOption, SetOption, StudyArgument, cache_of, jobs_for
from isostate.cli.progress import display_for
from isostate.cli.report import refresh, show_answer, up_to_date
from isostate.config import UserError
from isostate.records import Committed, StudyLock
from isostate.study.committed import all_beside, committed_of, covers, restore_whole
from isostate.study.file import StudyFile, read_study
from isostate.study.remember import finished, plan_of

if TYPE_CHECKING:
    from isostate.study.execute import Outcome

RetryOption = Annotated[bool, typer.Option("--retry-diverged", help="Train diverged runs again, from the beginning.")]


def run(
    study: StudyArgument,
    runs: RunsOption = RUNS,
    set_: SetOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
    retry_diverged: RetryOption = False,
) -> int:
    """Plan, train what is missing, fit, write the report. Run it again to go on after an interruption."""
    file = read_study(study, set_ or ())
    if jobs is not None:
        jobs_for(jobs, 1)
    code = 0
    committed = committed_of(file)
    if committed is not None and not retry_diverged and _restored(committed, file, runs):
        if not json:
            count = show.plural(len(committed.records), "record")
            show.console().print(f"nothing to train: {count} of {committed.path}, every hash verified")
    elif retry_diverged or not _finished(file, runs):
        with interruptible() as interrupt:
            outcome = _train(file, runs, jobs, json, retry_diverged, interrupt)
        if outcome.problem:
            raise UserError(outcome.problem)
        if outcome.stopped:
            print("stopped; what was trained is kept: run the same command to go on", file=sys.stderr)
            return interrupt.exit_code
        if outcome.deaths:
            count = show.plural(len(outcome.deaths), "run")
            print(f"{count} died with their workers; run the same command to train them again", file=sys.stderr)
            code = 1
    elif not json:
        show.console().print("nothing to train: every run has its result")
    assert file.name is not None
    study_dir = runs / file.name
    tables = up_to_date(study_dir)
    show_answer(study_dir, refresh(study_dir) if tables is None else tables, json)
    return code


def _restored(committed: Committed, file: StudyFile, runs: Path) -> bool:
    """Whether the committed records are the whole study; then every run is in its folder, from them or trained here."""
    if not covers(committed, file):
        return False
    assert file.name is not None
    study_dir = runs / file.name
    study_dir.mkdir(parents=True, exist_ok=True)
    with StudyLock(study_dir, lambda message: print(f"note: {message}", file=sys.stderr)):
        restore_whole(committed, file, study_dir)
    return True


def _finished(file: StudyFile, runs: Path) -> bool:
    if file.name is None:
        return False
    plan = plan_of(runs / file.name, file)
    return plan is not None and finished(runs / file.name, plan)


def _train(
    file: StudyFile,
    runs: Path,
    jobs: int | None,
    json: bool,
    retry_diverged: bool,
    interrupt: Interrupt,
) -> Outcome:
    """Everything that needs torch. Nothing is written to the study's folder before the study has been checked whole."""
    from isostate.report.fits import DRAWN_LAWS
    from isostate.study.execute import Outcome
    from isostate.study.plan import check_study, known_data
    from isostate.study.session import Session, carry_out

    study = check_study(file, DRAWN_LAWS)
    study_dir, cache = runs / study.name, cache_of(runs)
    display = display_for(json)

    def say(message: str) -> None:
        display({"event": "waiting", "message": message})

    try:
        committed = all_beside(file)
        data = known_data(study, committed, cache / "data")
        study_dir.mkdir(parents=True, exist_ok=True)
        with StudyLock(study_dir, say):
            if not retry_diverged and _finished(file, runs):  # by whoever held the lock
                return Outcome()
            jobs = jobs_for(jobs, study.train.threads)
            session = Session(file, study, data, study_dir, cache, jobs, retry_diverged, display, interrupt, committed)
            return carry_out(session)
    finally:
        display.close()
