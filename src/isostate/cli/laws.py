"""What fit, allocate and next share: the options that name a table, a law and how to fit it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import typer

from isostate.cli.options import RUNS
from isostate.config import UserError

TableArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="TABLE",
        help="A .csv, .jsonl or .parquet file (.gz too), or a study: its name, file, or folder of records.",
        show_default=False,
    ),
]
LawOption = Annotated[
    str | None, typer.Option("--law", metavar="NAME", help="The law; isostate fit --laws lists them all.")
]
XOption = Annotated[
    str | None,
    typer.Option(
        "--x",
        metavar="COLUMNS",
        help="Columns of the law's inputs, in its order or by symbol: N=n_params,D=n_tokens. C in place of N or D "
        "means C = 6 N D. (default: columns with well-known names)",
    ),
]
YOption = Annotated[
    str | None, typer.Option("--y", metavar="COLUMN", help="What the law predicts. (default: loss, or its like)")
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COND", help="Keep rows for which this holds: family==window. Repeatable."),
]
HoldoutOption = Annotated[
    str | None,
    typer.Option(
        "--holdout",
        metavar="COND",
        help="Rows to predict from the others: flops>1e21; 'none' for no hold-out. (default: the largest)",
    ),
]
ObjectiveOption = Annotated[
    str | None,
    typer.Option("--objective", metavar="NAME", help="What to minimise. (default: as the law's source did)"),
]
BootstrapOption = Annotated[
    int, typer.Option("--bootstrap", metavar="N", help="Refits that intervals come from; 0 for none.")
]
ResamplingOption = Annotated[
    str | None,
    typer.Option("--resampling", metavar="SCHEME", help="local, residual, wild, case or cluster. (default: local)"),
]
ClusterOption = Annotated[
    str | None,
    typer.Option("--cluster", metavar="COLUMN", help="Names the run of each row: whole runs are resampled."),
]
WeightsOption = Annotated[
    str | None, typer.Option("--weights", metavar="COLUMN", help="Weight of each row: its inverse variance.")
]
LevelOption = Annotated[float, typer.Option("--level", help="Of the intervals.")]
SeedOption = Annotated[int, typer.Option("--seed", min=0, help="Of the bootstrap.")]
FitFileOption = Annotated[
    Path | None,
    typer.Option("--fit", metavar="FIT.json", help="In place of a table: what isostate fit --json or --out wrote."),
]
PublicOption = Annotated[
    str | None,
    typer.Option("--public", metavar="NAME", help="In place of a table: a published fit; 'list' shows them all."),
]
CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Where public tables are kept. (default: .cache/tables in --runs)"),
]


BOOTSTRAP, LEVEL, SEED = 1000, 0.95, 0


@dataclass(frozen=True)
class Request:
    """The options of a fit, as given."""

    table: str | None = None
    law: str | None = None
    x: str | None = None
    y: str | None = None
    where: Sequence[str] = ()
    holdout: str | None = None
    objective: str | None = None
    bootstrap: int = BOOTSTRAP
    resampling: str | None = None
    cluster: str | None = None
    weights: str | None = None
    level: float = LEVEL
    seed: int = SEED
    runs: Path = RUNS

    def refuse(self, why: str, besides: Collection[str] = ()) -> None:
        """Raises UserError for the first option that was given, but for `besides`: it would be read by nobody."""
        for field in fields(self):
            if getattr(self, field.name) != field.default and field.name not in {"runs", *besides}:
                option = "TABLE" if field.name == "table" else f"--{field.name}"
                raise UserError(f"{why}; leave {option} out")
