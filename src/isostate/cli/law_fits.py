"""From the options of a fit to the fit: table, law, columns. It imports scipy, so verbs import it when they run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isostate.cli.laws import Request
from isostate.cli.options import cache_of
from isostate.config import UserError, nearest
from isostate.laws import LAWS, Fit, Law
from isostate.laws.columns import Columns, choose
from isostate.laws.registry import PublishedFit, as_fit, public_columns, published
from isostate.laws.saved import read_saved
from isostate.laws.sensitivity import sensitivity
from isostate.laws.table import Table, fit_table, from_rows, positive, select
from isostate.laws.table_file import read_table
from isostate.records import table as records_table
from isostate.report import rows as study_rows
from isostate.study.file import find_study

FEWEST_DRAWS = 100
DRAWS_BEYOND = 4  # outside an interval, at least: two at either end
# What overflows comes out infinite or NaN, and the fit's alarms say so; numpy's own words would be one line too many.
quiet = np.errstate(all="ignore")
MOST_CELLS = 10**8  # of draws times rows: 1 GB or so
TABLE_ENDINGS = (".csv", ".jsonl", ".parquet", ".gz")


@dataclass(frozen=True)
class Source:
    """A table as fitted: `name` for people, `row_n` the places of its rows in the whole, `left_out` in words."""

    name: str
    columns: Columns
    law: Law
    row_n: NDArray[np.intp]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fitted:
    """A fit and the table it is of; `theirs` where the table is a published one's."""

    fit: Fit
    source: Source
    theirs: PublishedFit | None = None


def law_named(name: str | None) -> Law:
    """The law of that name, or a UserError that names the nearest."""
    if name is None:
        raise UserError("which law? give --law NAME; isostate fit --laws lists them")
    if name not in LAWS:
        raise UserError(f"no law {name!r}{nearest(name, LAWS)}; there are {', '.join(LAWS)}")
    return LAWS[name]


def fit_request(request: Request) -> Fitted:
    """Fits what the options ask for. Raises UserError for every mistake in them or in the table."""
    law = law_named(request.law)
    if request.table is None:
        raise UserError("fit what? give a TABLE (.csv, .jsonl, .parquet, or a study), or --public NAME")
    table, left_out = open_table(request.table, request.runs)
    return _fit(request, Path(request.table).name, law, table, left_out)


def fit_public(request: Request, name: str, cache: Path | None) -> Fitted:
    """Fetches, verifies and fits the table of a published fit as its authors did, or as the options say."""
    besides = ("where", "holdout", "objective", "bootstrap", "resampling", "level", "seed")
    request.refuse(f"--public {name} brings its own table, law and columns", besides)
    theirs = published(name)
    x, y = public_columns(theirs, cache or cache_of(request.runs) / "tables")
    table: Table = {**x, theirs.law.output: y}
    request = replace(request, resampling=request.resampling or theirs.resampling)
    fitted = _fit(request, theirs.name, theirs.law, table, (), theirs.objective)
    return Fitted(fitted.fit, fitted.source, theirs)


def law_and_fit(request: Request, file: Path | None, public: str | None) -> tuple[Law, Callable[[], Fit]]:
    """The law, before the time that its fit takes, and the fit: saved in a file, published, or of a table."""
    if file is not None and public is not None:
        raise UserError("--fit and --public both bring a fit; leave one out")
    if file is not None:
        request.refuse(f"--fit {file.name} holds a finished fit")
        saved = read_saved(file)
        return saved.law, lambda: saved
    if public is not None:
        request.refuse(f"--public {public} is a finished fit")
        theirs = published(public)
        return theirs.law, lambda: as_fit(theirs)
    if request.table is None:
        raise UserError("by which law? give a TABLE with --law, or a finished fit (--help says which)")
    return law_named(request.law), lambda: fit_request(request).fit


def open_table(name: str, runs: Path) -> tuple[Table, tuple[str, ...]]:
    """The table called `name`, a file's or a study's, and in words what was left out of it."""
    path = Path(name)
    if path.suffix.lower() in TABLE_ENDINGS or (path.is_file() and path.suffix != ".toml"):
        return read_table(path), ()
    try:
        study_dir = find_study(name, runs)
    except UserError as error:
        endings = ", ".join(TABLE_ENDINGS)
        raise UserError(f"{name} is no table ({endings}), nor a study with records: {error}") from None
    every = records_table(study_dir)
    kept = study_rows.drawn(every)
    if not kept:
        raise UserError(f"no run of {study_dir.name} has finished; isostate run trains them")
    rows = [{key: value for key, value in row.items() if key != "curve"} for row in kept]
    left = len(every) - len(rows)
    return from_rows(rows), (f"{left} runs unfinished, or at a worse learning rate",) if left else ()


@quiet
def sensitivity_of(fitted: Fitted) -> list[dict[str, Any]]:
    """The sensitivity matrix of a fit: objectives, outliers dropped, other ways to count that the table holds."""
    source, law = fitted.source, fitted.fit.law
    table, row_n = source.columns.table, source.row_n
    x = {symbol: positive(table, name, row_n) for symbol, name in source.columns.x.items()}
    counts = {
        label: {symbol: positive(table, name, row_n) for symbol, name in replaced.items()}
        for label, replaced in source.columns.counts.items()
    }
    spare = len(row_n) - len(law.names) - 1
    drop = [count for count in (0, 1, 5) if count <= spare]
    return sensitivity(law, x, positive(table, source.columns.y, row_n), counts=counts, drop=drop)


@quiet
def _fit(
    request: Request, name: str, law: Law, table: Table, left_out: tuple[str, ...], objective: str | None = None
) -> Fitted:
    n_rows = len(next(iter(table.values())))
    some, row_n = select(table, request.where)
    check_options(request, len(row_n))
    if len(row_n) < n_rows:
        left_out = (*left_out, f"{n_rows - len(row_n)} rows by --where")
    columns = choose(some, law, request.x, request.y, row_n)
    try:
        fit = fit_table(
            columns.table, law, columns.x, columns.y, holdout=request.holdout, weights=request.weights,
            clusters=request.cluster, row_n=row_n, objective=request.objective or objective,
            bootstrap=request.bootstrap, resampling=request.resampling, level=request.level, seed=request.seed,
        )  # fmt: skip
    except np.linalg.LinAlgError as error:  # of columns that lie hundreds of powers of ten apart
        raise UserError(f"the search left the range of floats ({error}); check the columns' units") from None
    return Fitted(fit, Source(name, columns, law, row_n, left_out))


def check_options(request: Request, n_rows: int) -> None:
    """Raises UserError for numbers that cannot be."""
    level, draws = request.level, request.bootstrap
    if not 0.0 < level < 1.0:
        hint = f"; {level:g} % is {level / 100:g}" if 1.0 < level < 100.0 else ""
        raise UserError(f"--level {level:g}: must be between 0 and 1, such as 0.95{hint}")
    fewest = max(FEWEST_DRAWS, math.ceil(DRAWS_BEYOND / (1.0 - level)))
    if draws != 0 and draws < fewest:
        raise UserError(f"--bootstrap {draws}: give 0 to leave it out, or at least {fewest:,} for a level of {level:g}")
    if draws * n_rows > MOST_CELLS:
        raise UserError(f"--bootstrap {draws}: too much memory for {n_rows:,} rows; at most {MOST_CELLS // n_rows:,}")
