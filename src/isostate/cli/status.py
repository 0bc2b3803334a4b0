"""`isostate status`: where a study stands, from its records alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from isostate.cli import show
from isostate.cli.options import RUNS, JsonOption, RecordsArgument, RunsOption
from isostate.records import RunDirectory, is_locked, run_directories
from isostate.records.locks import holder
from isostate.study.file import find_study
from isostate.study.remember import read_plan


def status(study: RecordsArgument, runs: RunsOption = RUNS, json: JsonOption = False) -> int:
    """Progress of a study that runs or ran."""
    study_dir = find_study(study, runs)
    rows = [progress_of(study_dir, row) for row in _planned(study_dir)]
    counts = dict(Counter(row["status"] for row in rows))
    lock = study_dir / "lock"
    running_by = holder(lock) if is_locked(lock) else None
    if json:
        show.print_json({"study": study_dir.name, "running_by": running_by, "counts": counts, "runs": rows})
        return 0
    screen = show.console()
    head = ["run", "family", "size", "context", "state", "seed", "lr", "status", "updates", "loss", "left"]
    screen.print(show.table(head, [_cells(row) for row in rows], left=3))
    words = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    left_s = sum(row["left_s"] for row in rows)
    screen.print(f"{study_dir.name}: {words}; {show.duration(left_s)} of training left, all workers' together")
    screen.print(f"running: {running_by}" if running_by else "not running")
    return 0


def progress_of(study_dir: Path, row: dict[str, Any]) -> dict[str, Any]:
    """A planned row and how far it has come: status, step, loss (nats a token), left_s by the plan's own speed."""
    base = {key: row[key] for key in ("run_id", "family", "size", "train_context", "seed", "lr", "role", "steps")}
    base["state"] = row["state"]["elements"]
    if row["run_id"] is None:
        return {**base, "status": "pending", "step": 0, "loss_nats": None, "left_s": row["predicted_s"]}
    run = RunDirectory(study_dir / row["run_id"])
    found = run.status()
    metrics = run.metrics()
    step = max((line["step"] for line in metrics), default=0)
    losses = [line["loss_nats"] for line in metrics if line["kind"] in ("eval", "train")]
    ended = found in ("done", "diverged")
    left_s = 0.0 if ended else row["predicted_s"] * (1 - step / row["steps"])
    return {**base, "status": found, "step": step, "loss_nats": losses[-1] if losses else None, "left_s": left_s}


def _planned(study_dir: Path) -> list[dict[str, Any]]:
    """The plan's rows; without a plan (another version wrote it) what the run directories say of themselves."""
    plan = read_plan(study_dir)
    if plan is not None:
        return plan["runs"]
    facts = [run.facts() for run in run_directories(study_dir)]
    return [
        {**row, "size": f"{row['n_layers']}x{row['d_model']}", "role": "sweep", "predicted_s": 0.0}
        for row in facts
        if row is not None
    ]


def _cells(row: dict[str, Any]) -> list[str]:
    loss = row["loss_nats"]
    return [
        row["run_id"] or "(not tuned yet)",
        row["family"],
        row["size"],
        f"{row['train_context']:,}",
        f"{row['state']:,}",
        str(row["seed"]),
        "tuned" if row["lr"] is None else f"{row['lr']:g}",
        row["status"],
        f"{row['step']:,} / {row['steps']:,}",
        "" if loss is None else f"{loss:.4f}",
        show.duration(row["left_s"]) if row["left_s"] else "",
    ]
