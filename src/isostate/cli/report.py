"""`isostate report`: fits and draws again from the records; also what `run` ends with."""

from __future__ import annotations

import hashlib
import json as json_module
from pathlib import Path
from typing import Any

import isostate
from isostate.cli import show
from isostate.cli.options import RUNS, JsonOption, RecordsArgument, RunsOption
from isostate.records import durable, run_directories
from isostate.study.file import find_study

Laws = list[dict[str, str]]  # a table of laws: a row a law, columns in the order to show
Tables = dict[str, Laws]  # "laws" in the state, "joint_laws" with the context or the parameters


def report(study: RecordsArgument, runs: RunsOption = RUNS, json: JsonOption = False) -> int:
    """Fit and draw again from the records."""
    study_dir = find_study(study, runs)
    show_answer(study_dir, refresh(study_dir), json)
    return 0


def show_answer(study_dir: Path, tables: Tables, json: bool) -> None:
    """The tables of laws and where the page is."""
    page = study_dir / "report.html"
    if json:
        show.print_json({"event": "report", "report": str(page), **tables})
        return
    screen = show.console()
    for laws in tables.values():
        if laws:
            screen.print(show.table(list(laws[0]), [list(row.values()) for row in laws], left=2))
    screen.print(f"report: {page}", soft_wrap=True)


def up_to_date(study_dir: Path) -> Tables | None:
    """The tables of laws, if the page was made from the records as they are; else None."""
    summary = study_dir / "summary.json"
    if not all((study_dir / name).is_file() for name in ("report.html", "laws.json", "summary.json")):
        return None
    try:
        held = json_module.loads(summary.read_bytes())
    except ValueError:  # damaged: it is made again
        return None
    if held["stamp"] != stamp_of(study_dir):
        return None
    return {name: [dict(zip(columns, row, strict=True)) for row in rows] for name, columns, rows in held["tables"]}


def refresh(study_dir: Path) -> Tables:
    """Makes the page, laws.json and summary.json; returns the tables of laws."""
    from isostate import report as reports  # scipy alone takes a second to import
    from isostate.records import table

    stamp = stamp_of(study_dir)  # before: a run that ends meanwhile makes the page out of date
    reports.build_report(study_dir)
    fits = durable.read_json(study_dir / "laws.json")["laws"]
    tables = {"laws": reports.summary(table(study_dir), fits), "joint_laws": reports.joint_summary(fits)}
    in_order = [
        [name, list(laws[0]) if laws else [], [list(row.values()) for row in laws]] for name, laws in tables.items()
    ]
    durable.write_atomic(study_dir / "summary.json", durable.json_bytes({"stamp": stamp, "tables": in_order}))
    return tables


def stamp_of(study_dir: Path) -> str:
    """Changes whenever the records do: hash of the study, and of every run's size of metrics and result."""
    seen: list[Any] = [isostate.__version__, (study_dir / "study.json").read_text(encoding="utf-8")]
    for run in run_directories(study_dir):
        metrics, result = run.path / "metrics.jsonl", run.path / "result.json"
        size = metrics.stat().st_size if metrics.exists() else 0
        seen.append([run.run_id, size, result.read_text(encoding="utf-8") if result.exists() else ""])
    return hashlib.sha256(json_module.dumps(seen).encode()).hexdigest()
