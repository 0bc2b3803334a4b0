"""`isostate plan`: what would run, and what it would cost. Trains nothing, writes nothing but the cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from isostate.cli import show
from isostate.cli.options import RUNS, JobsOption, JsonOption, RunsOption, SetOption, StudyArgument, cache_of, jobs_for
from isostate.records import RunDirectory
from isostate.study.beside import result_beside
from isostate.study.committed import all_beside, recorded
from isostate.study.file import read_study


def plan(
    study: StudyArgument,
    runs: RunsOption = RUNS,
    set_: SetOption = None,
    jobs: JobsOption = None,
    json: JsonOption = False,
) -> int:
    """What would run: parameters, state, FLOPs, memory, predicted time. Trains nothing."""
    from isostate.report.fits import DRAWN_LAWS
    from isostate.study.plan import check_study, known_data, make_plan, makespan

    file = read_study(study, set_ or ())
    checked = check_study(file, DRAWN_LAWS)
    jobs = jobs_for(jobs, checked.train.threads)
    study_dir, cache = runs / checked.name, cache_of(runs)
    committed = all_beside(file)

    def result_of(run_id: str) -> dict[str, Any] | None:
        own, record = RunDirectory(study_dir / run_id).result(), recorded(committed, run_id)
        return own or (record["result"] if record else result_beside(study_dir, run_id))

    planned = make_plan(
        checked, known_data(checked, committed, cache / "data"), result_of, cache / "steps.json", str(study)
    )
    rows = planned.rows()
    for row in rows:
        run_id = row["run_id"]
        result = result_of(run_id) if run_id else None
        unfinished = RunDirectory(study_dir / run_id).status() if run_id else "pending"
        row["status"] = result["status"] if result else unfinished
    missing = [row["predicted_s"] for row in rows if row["status"] not in ("done", "diverged")]
    total_s = makespan(missing, jobs) if missing else 0.0
    if json:
        answer = {"study": checked.name, "jobs": jobs, "total_s": total_s, "notices": planned.notices, "runs": rows}
        show.print_json(answer)
        return 0
    screen = show.console()
    screen.print(table_of(rows))
    for notice in planned.notices:
        screen.print(f"note: {notice}")
    screen.print(summary_line(rows, len(missing), total_s, jobs))
    return 0


def table_of(rows: Sequence[dict[str, Any]]) -> Table:
    """A line a run."""
    head = ["family", "knob", "size", "context", "parameters", "state", "wanted", "off by", "lr", "seed", "FLOPs"]
    cells = [
        [
            row["family"],
            " ".join(f"{name} {value}" for name, value in row["knob"].items()),
            row["size"],
            f"{row['train_context']:,}",
            f"{row['n_params']['total']:,}",
            f"{row['state']['elements']:,}",
            "" if row["wanted_state"] is None else f"{row['wanted_state']:,}",
            show.percent(row["state_error"]),
            "tuned" if row["lr"] is None else f"{row['lr']:g}{' (tuning)' if row['role'] == 'tune' else ''}",
            str(row["seed"]),
            show.decimal(row["train_flops"]),
            show.binary_bytes(row["peak_bytes"]),
            ("" if row["step_measured"] else "~") + show.duration(row["predicted_s"]),
            row["status"],
        ]
        for row in rows
    ]
    return show.table([*head, "memory", "time", "status"], cells, left=3)


def summary_line(rows: Sequence[dict[str, Any]], n_missing: int, total_s: float, jobs: int) -> str:
    """What is left to do and how long it will take."""
    if not n_missing:
        return f"{show.plural(len(rows), 'run')}, all of them finished"
    guessed = "" if all(row["step_measured"] for row in rows) else " (~: from the FLOPs of a measured one)"
    workers = f"with {show.plural(jobs, 'worker')}"
    return (
        f"{show.plural(n_missing, 'run')} to train of {len(rows):,}, about {show.duration(total_s)} {workers}{guessed}"
    )
