"""`isostate fit`: any law to any table, or a published fit once more, with intervals, hold-out, alarms and advice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from isostate.cli import law_words, show
from isostate.cli.law_lists import list_laws, list_public
from isostate.cli.laws import (
    BOOTSTRAP,
    LEVEL,
    SEED,
    BootstrapOption,
    CacheOption,
    ClusterOption,
    HoldoutOption,
    LawOption,
    LevelOption,
    ObjectiveOption,
    PublicOption,
    Request,
    ResamplingOption,
    SeedOption,
    TableArgument,
    WeightsOption,
    WhereOption,
    XOption,
    YOption,
)  # fmt: skip
from isostate.cli.options import RUNS, JsonOption, RunsOption
from isostate.config import UserError
from isostate.records import durable

if TYPE_CHECKING:
    from isostate.cli.law_fits import Fitted
    from isostate.laws import Fit

LawsOption = Annotated[bool, typer.Option("--laws", help="List the laws: equation, inputs, source.")]
SensitivityOption = Annotated[
    bool,
    typer.Option(
        "--sensitivity", help="Refit over objectives, outliers dropped and ways to count: how much is the analyst's."
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", metavar="DIR", help="Write fit.json and the figures to this folder.")
]
FormatsOption = Annotated[
    str, typer.Option("--formats", metavar="LIST", help="Of the figures: html, png, svg; png and svg need matplotlib.")
]


def fit(
    table: TableArgument = None,
    law: LawOption = None,
    x: XOption = None,
    y: YOption = None,
    where: WhereOption = None,
    holdout: HoldoutOption = None,
    objective: ObjectiveOption = None,
    bootstrap: BootstrapOption = BOOTSTRAP,
    resampling: ResamplingOption = None,
    cluster: ClusterOption = None,
    weights: WeightsOption = None,
    level: LevelOption = LEVEL,
    seed: SeedOption = SEED,
    sensitivity: SensitivityOption = False,
    public: PublicOption = None,
    cache: CacheOption = None,
    laws: LawsOption = False,
    out: OutOption = None,
    formats: FormatsOption = "html",
    runs: RunsOption = RUNS,
    json: JsonOption = False,
) -> int:
    """Fit any law to any table: intervals, hold-out error, alarms and advice."""
    if laws:
        return list_laws(json)
    if public == "list":
        return list_public(json)
    if cache is not None and public is None:
        raise UserError("--cache keeps the tables of --public; leave it out")
    request = Request(
        table, law, x, y, where or (), holdout, objective, bootstrap, resampling, cluster, weights, level, seed, runs
    )
    from isostate.cli import law_fits

    with show.waiting("fitting"):
        fitted = law_fits.fit_public(request, public, cache) if public else law_fits.fit_request(request)
        answer = answer_of(fitted, sensitivity)
    files = write(fitted.fit, answer, out, formats.split(",")) if out else []
    if json:
        show.print_json(answer)
    else:
        _print(fitted, answer, files)
    return 0 if fitted.fit.params else 1


def answer_of(fitted: Fitted, with_sensitivity: bool) -> dict[str, Any]:
    """`Fit.to_dict()` and the draws; the comparison with a published fit and the sensitivity matrix where asked for."""
    from isostate.cli.law_fits import sensitivity_of
    from isostate.laws.registry import beside
    from isostate.laws.result import plain
    from isostate.laws.saved import saved

    answer = saved(fitted.fit)
    if fitted.theirs is not None and fitted.fit.params:
        answer["public"] = {"name": fitted.theirs.name, "rows": beside(fitted.theirs, fitted.fit)}
    if with_sensitivity and fitted.fit.params:
        answer["sensitivity"] = sensitivity_of(fitted)
    return plain(answer)


def write(fit: Fit, answer: dict[str, Any], folder: Path, formats: list[str]) -> list[Path]:
    """The figures of `fit`, and fit.json beside them; returns the files."""
    from isostate.report import write_figures

    figures = write_figures(fit, folder, [name.strip() for name in formats])
    written = folder / "fit.json"
    durable.write_atomic(written, durable.json_bytes(answer))
    return [written, *figures]


def _print(fitted: Fitted, answer: dict[str, Any], files: list[Path]) -> None:
    screen = show.console()
    known = {key: value for key, value in answer.items() if key not in ("public", "sensitivity")}
    law_words.print_fit(screen, known, _about(fitted))
    if "public" in answer:
        screen.print()
        law_words.print_table(screen, _beside(answer["public"]["rows"]))
    if "sensitivity" in answer:
        screen.print()
        _print_sensitivity(answer)
    screen.print()
    law_words.print_alarms(screen, answer["alarms"], answer["advice"])
    for path in files:
        screen.print(f"wrote {path}", soft_wrap=True)


def _about(fitted: Fitted) -> list[tuple[str, str]]:
    """The table and its columns, with what was left out."""
    from isostate.laws.columns import words_of

    source, law = fitted.source, fitted.fit.law
    read = {**source.columns.x, law.output: source.columns.y}
    columns = ", ".join(f"{symbol} = {name} ({words_of(symbol)})" for symbol, name in read.items())
    lines = [("table", f"{source.name}, {show.plural(len(source.row_n), 'row')}"), ("columns", columns)]
    if source.left_out:
        lines.append(("left out", "; ".join(source.left_out)))
    if fitted.theirs is not None:
        lines.append(("published", fitted.theirs.source))
    return lines


def _beside(rows: list[dict[str, Any]]) -> Table:
    """Ours beside theirs."""
    cells = []
    for row in rows:
        cell = [row["parameter"]]
        for key, ends in (("ours", row["our_interval"]), ("theirs", row["their_interval"])):
            low, high = ends or (None, None)
            cell.append(law_words.interval({"value": row[key], "low": low, "high": high}))
        cells.append([*cell, f"{100 * row['relative']:+.3f} %"])
    return show.table(["parameter", "ours", "theirs", "difference"], cells)


def _print_sensitivity(answer: dict[str, Any]) -> None:
    """A refit a row, then how far each result moves over them."""
    screen, rows = show.console(), answer["sensitivity"]
    told = [key for key in rows[0] if key != "starts" and (key != "count" or len({row["count"] for row in rows}) > 1)]
    law_words.print_table(screen, law_words.rows_table([{key: row[key] for key in told} for row in rows]))
    names = [*answer["params"], *answer["derived"]]
    spans = {name: [row[name] for row in rows if row[name] is not None] for name in names}
    ends = {name: (min(span), max(span)) for name, span in spans.items() if span}
    lines = [(name, f"{law_words.number(low)} to {law_words.number(high)}") for name, (low, high) in ends.items()]
    screen.print()
    screen.print(law_words.facts([("over all", f"of these {len(rows)} refits"), *lines]))
