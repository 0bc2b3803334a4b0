"""Options that verbs share, and what follows from them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from isostate.config import UserError

StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY.toml", help="The study file.", show_default=False)]
RecordsArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help="A study's name, file, or folder of records.", show_default=False)
]
RunsOption = Annotated[Path, typer.Option("--runs", metavar="DIR", help="Where the records of all studies are.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="PATH=VALUE", help="Change a value of the file: train.steps=500. Repeatable."),
]
JobsOption = Annotated[
    int | None,
    typer.Option("--jobs", metavar="N", help="Worker processes. [default: processors / train.threads]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]

RUNS = Path("runs")


def cache_of(runs: Path) -> Path:
    """Prepared data and measured steps, shared by the studies of one `--runs`."""
    return runs / ".cache"


def jobs_for(asked: int | None, threads: int) -> int:
    """`--jobs`, or the processors of this process over the threads of a run. Raises UserError."""
    if asked is not None and asked < 1:
        raise UserError(f"--jobs {asked}: must be at least 1; leave it out for one worker a processor")
    return asked or max(1, processors() // threads)


def processors() -> int:
    """Those that this process may use: fewer than the machine's in a container or under taskset."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
