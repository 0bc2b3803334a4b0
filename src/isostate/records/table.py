"""The table of a study: a row for each run, read from the run directories. Laws and reports know nothing else.

A row is the run's result.json (or, before its end, its facts.json and a status), and

    "run_id", "status", "run_dir", "config", "environment" (None before its first start),
    "train_s": seconds of training so far (None before the first row),
    "curve": [{"step", "train_s", "train_loss_nats": nats or None, "eval": {context: nats, ...}}, ...] by step.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from isostate.records.committed import Committed
from isostate.records.compact import Record, metrics_of
from isostate.records.ledger import run_directories
from isostate.records.run_directory import RunDirectory


def table(study_dir: Path) -> list[dict[str, Any]]:
    """All runs of a study, by run id."""
    return [_row_of(run) for run in run_directories(study_dir)]


def _row_of(run: RunDirectory) -> dict[str, Any]:
    config = run.config()  # first, since it refuses foreign and newer directories
    result = run.result()
    timing = {row["step"]: row["train_s"] for row in run.timing()}
    return {
        **(result or run.facts() or {}),
        "run_id": run.run_id,
        "status": result["status"] if result else run.status(),
        "run_dir": str(run.path),
        "config": config,
        "environment": run.environment(),
        "train_s": max(timing.values(), default=None),
        "curve": curve(run.metrics(), timing),
    }


def table_of(committed: Committed) -> list[dict[str, Any]]:
    """The same of committed records, without any folder: curves as far as the records keep them."""
    return [_row_of_record(record, str(committed.path)) for _, record in sorted(committed.records.items())]


def _row_of_record(record: Record, origin: str) -> dict[str, Any]:
    timing = dict(zip(record["timing"]["step"], record["timing"]["train_s"], strict=True))
    return {
        **record["result"],
        "mixer": record["config"]["model"]["mixer"],
        "run_dir": origin,
        "config": record["config"],
        "environment": record["environment"],
        "train_s": max(timing.values(), default=None),
        "curve": curve(metrics_of(record), timing),
    }


def curve(metrics: list[dict[str, Any]], timing: dict[int, float]) -> list[dict[str, Any]]:
    """Joins the rows of each step. Without a training row `train_loss_nats` is None; untimed, `train_s` is None."""
    points: dict[int, dict[str, Any]] = {}
    for row in metrics:
        step = row["step"]
        fresh = {"step": step, "train_s": timing.get(step), "train_loss_nats": None, "eval": {}}
        point = points.setdefault(step, fresh)
        if row["kind"] == "train":
            point["train_loss_nats"] = row["loss_nats"]
        elif row["kind"] == "eval":
            point["eval"][str(row["context"])] = row["loss_nats"]
    return [points[step] for step in sorted(points)]
