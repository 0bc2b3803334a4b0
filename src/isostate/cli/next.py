"""`isostate next`: the run that narrows a prediction most per FLOP, and how many runs a wanted precision takes."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isostate.cli import law_words, show
from isostate.cli.amounts import amounts_of, axes_of, number_of
from isostate.cli.laws import (
    BOOTSTRAP,
    LEVEL,
    SEED,
    BootstrapOption,
    ClusterOption,
    FitFileOption,
    LawOption,
    LevelOption,
    ObjectiveOption,
    Request,
    ResamplingOption,
    SeedOption,
    TableArgument,
    WeightsOption,
    WhereOption,
    XOption,
    YOption,
)
from isostate.cli.options import RUNS, JsonOption, RunsOption
from isostate.config import UserError

if TYPE_CHECKING:
    from isostate.laws import Fit, Law
    from isostate.laws.planning import NextRun

TargetOption = Annotated[
    str, typer.Option("--target", metavar="X=VALUE,...", help="Where the prediction is wanted: N=7e10,D=1.4e12.")
]
CandidatesOption = Annotated[
    str | None,
    typer.Option(
        "--candidates",
        metavar="X=GRID,...",
        help="Runs to choose from: N=1e8:1e10:8,D=2e10, grids even in the logarithm. (default: 8 a resource, over the "
        "range of the table)",
    ),
]
WithinOption = Annotated[
    str | None,
    typer.Option("--within", metavar="SHARE", help="How many runs until the prediction is known to +- this: 0.01."),
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="X=VALUE", help="N or D of every run, for its FLOPs, if the law does not take it."),
]
TopOption = Annotated[int, typer.Option("--top", metavar="N", min=1, help="Candidates to show.")]

STEPS = 8  # a resource, of the grid that is taken without --candidates
MOST_CANDIDATES = 10_000


@dataclass(frozen=True)
class Choice:
    """Where a prediction is wanted, the runs to choose from (symbol -> one value a run), and what each costs."""

    target: dict[str, float]
    candidates: dict[str, list[float]]
    cost: list[float]
    unit: str


def next_run(
    table: TableArgument = None,
    law: LawOption = None,
    x: XOption = None,
    y: YOption = None,
    where: WhereOption = None,
    fit: FitFileOption = None,
    *,
    target: TargetOption,
    candidates: CandidatesOption = None,
    within: WithinOption = None,
    at: AtOption = None,
    top: TopOption = 10,
    objective: ObjectiveOption = None,
    bootstrap: BootstrapOption = BOOTSTRAP,
    resampling: ResamplingOption = None,
    cluster: ClusterOption = None,
    weights: WeightsOption = None,
    level: LevelOption = LEVEL,
    seed: SeedOption = SEED,
    runs: RunsOption = RUNS,
    json: JsonOption = False,
) -> int:
    """Which run to train next: what narrows a prediction most per FLOP; how many for a wanted precision."""
    request = Request(
        table, law, x, y, where or (), None, objective, bootstrap, resampling, cluster, weights, level, seed, runs
    )
    from isostate.cli import law_fits
    from isostate.laws import planning

    form, make = law_fits.law_and_fit(request, fit, None)
    wanted = wanted_of(form, target)
    axes = axes_for(form, candidates) if candidates is not None else None
    share = None if within is None else number_of(within, "--within")
    with show.waiting("fitting"):
        by = make()
        choice = choice_of(by, wanted, axes if axes is not None else ranges_of(by), amounts_of(at, "--at"))
        ranked = planning.next_run(by, choice.target, choice.candidates, choice.cost)
        needed = None
        if share is not None:
            needed = planning.runs_needed(by, choice.target, share, choice.candidates, choice.cost)
    answer = answer_of(by, choice, ranked, needed, share)
    if json:
        show.print_json(answer)
    else:
        _print(answer, by.law, top)
    return 0


def wanted_of(law: Law, target: str) -> dict[str, float]:
    """--target: every input of the law."""
    from isostate.laws.columns import symbol_of

    wanted = {symbol_of(law, name): value for name, value in amounts_of(target, "--target").items()}
    return _whole(law, wanted, "--target")


def axes_for(law: Law, candidates: str) -> dict[str, list[float]]:
    """--candidates: values of every input of the law, of which every combination is one run to choose."""
    from isostate.laws.columns import symbol_of

    axes = {symbol_of(law, name): values for name, values in axes_of(candidates, "--candidates").items()}
    count = math.prod(len(values) for values in axes.values())
    if count > MOST_CANDIDATES:
        raise UserError(f"--candidates: {count:,} runs to choose from; take fewer steps, {MOST_CANDIDATES:,} at most")
    return _whole(law, axes, "--candidates")


def choice_of(by: Fit, wanted: dict[str, float], axes: dict[str, list[float]], at: dict[str, float]) -> Choice:
    """Every combination of the axes, and what each costs."""
    every = list(itertools.product(*(axes[symbol] for symbol in by.law.inputs)))
    columns = {symbol: [run[i] for run in every] for i, symbol in enumerate(by.law.inputs)}
    cost, unit = cost_of(by.law, columns, at, len(every))
    return Choice(wanted, columns, cost, unit)


def ranges_of(by: Fit) -> dict[str, list[float]]:
    """A grid over what the table spans; one value where it has one."""
    if not by.params:
        raise UserError(f"the fit of {by.law.name!r} failed ({by.alarms[0]}); plan from a law that fits")
    axes: dict[str, list[float]] = {}
    for symbol in by.law.inputs:
        seen = [point[symbol if symbol in point else "x"] for point in by.points]
        low, high = min(seen), max(seen)
        axes |= axes_of(f"{symbol}={low!r}:{high!r}:{STEPS}" if low < high else f"{symbol}={low!r}", "--candidates")
    return axes


def cost_of(
    law: Law, columns: Mapping[str, Sequence[float]], at: Mapping[str, float], count: int
) -> tuple[list[float], str]:
    """FLOPs of each candidate: C, or 6 N D, with N or D from `at` where the law does not take it; else one a run."""
    for symbol in at:
        if symbol not in ("N", "D"):
            raise UserError(f"--at {symbol}: only N and D, which the law does not take, change what a run costs")
        if symbol in law.inputs:
            raise UserError(f"--at {symbol}: law {law.name!r} takes {symbol}, so --candidates gives it")
    if "C" in columns:
        return list(columns["C"]), "FLOPs"
    known: dict[str, Sequence[float]] = {**{symbol: [value] * count for symbol, value in at.items()}, **columns}
    if "N" in known and "D" in known:
        return [6.0 * params * tokens for params, tokens in zip(known["N"], known["D"], strict=True)], "FLOPs"
    return [1.0] * count, "runs"


def answer_of(
    by: Fit, choice: Choice, ranked: Sequence[NextRun], needed: Sequence[NextRun] | None, share: float | None
) -> dict[str, Any]:
    """The answer as plain values; half widths are relative, at the fit's level."""
    import numpy as np

    from isostate.laws.allocate import extrapolation
    from isostate.laws.result import plain

    prediction = float(by.predict({symbol: np.array([value]) for symbol, value in choice.target.items()})[0])
    answer: dict[str, Any] = {
        "law": by.law.name,
        "target": choice.target,
        "prediction": prediction,
        "half_width": ranked[0].before,
        "level": by.level,
        "cost_unit": choice.unit,
        "ranked": [run.to_dict() for run in ranked],
        "alarms": [*extrapolation(by, choice.target), *(f"the fit: {alarm}" for alarm in by.alarms)],
    }
    if needed is not None:
        answer["within"] = share
        answer["needed"] = [run.to_dict() for run in needed]
        answer["needed_cost"] = sum(run.cost for run in needed)
    return plain(answer)


def _print(answer: dict[str, Any], law: Law, top: int) -> None:
    screen = show.console()
    target = ", ".join(f"{symbol} = {law_words.number(answer['target'][symbol])}" for symbol in law.inputs)
    known = f"+- {_share(answer['half_width'])} ({100 * answer['level']:g} %)"
    lines = [("law", f"{law.name}: {law.equation}"), ("target", target)]
    lines.append(("prediction", f"{law.output} = {law_words.number(answer['prediction'])} {known}, of the law's mean"))
    unknown = "not known from the law's inputs (--at may give N or D): every run counts alike"
    words = f"{'C' if 'C' in law.inputs else '6 N D'} FLOPs" if answer["cost_unit"] == "FLOPs" else unknown
    screen.print(law_words.facts([*lines, ("cost", words)]))
    best = answer["ranked"][0]["gain_per_cost"]
    cells = [
        [
            *(law_words.number(run["inputs"][symbol], 4) for symbol in law.inputs),
            law_words.number(run["cost"], 4),
            _share(run["after"]),
            f"{run['gain_per_cost'] / best:.3f}" if best > 0 else "",
        ]
        for run in answer["ranked"][:top]
    ]
    screen.print()
    law_words.print_table(
        screen, show.table([*law.inputs, answer["cost_unit"], "then known to +-", "gain per cost"], cells, left=0)
    )
    most = min(answer["ranked"], key=lambda run: (run["after"], run["cost"]))
    inputs = ", ".join(f"{symbol} = {law_words.number(most['inputs'][symbol], 4)}" for symbol in law.inputs)
    screen.print()
    screen.print(law_words.facts([("whatever it costs", f"{inputs} narrows most, to +- {_share(most['after'])}")]))
    if "needed" in answer:
        screen.print()
        _print_needed(answer, law)
    screen.print()
    law_words.print_alarms(screen, answer["alarms"])


def _print_needed(answer: dict[str, Any], law: Law) -> None:
    """How many runs of which kind, and what they cost together."""
    screen, runs = show.console(), answer["needed"]
    if not runs:
        screen.print(f"known to +- {_share(answer['within'])} already: no run is needed")
        return
    total = law_words.number(answer["needed_cost"], 4)
    unit = f", {total} FLOPs in all" if answer["cost_unit"] == "FLOPs" else ""
    screen.print(
        f"{show.plural(len(runs), 'run')} to know it to +- {_share(answer['within'])} "
        f"(then {_share(runs[-1]['after'])}){unit}:"
    )
    kinds = Counter(tuple(run["inputs"][symbol] for symbol in law.inputs) for run in runs)
    cells = [[str(count), *(law_words.number(value, 4) for value in kind)] for kind, count in kinds.items()]
    law_words.print_table(screen, show.table(["runs", *law.inputs], cells, left=0))


def _share(value: float) -> str:
    return f"{100 * value:.3g} %"


def _whole(law: Law, given: dict[str, Any], option: str) -> dict[str, Any]:
    missing = [symbol for symbol in law.inputs if symbol not in given]
    if missing:
        raise UserError(f"{option} leaves out {', '.join(missing)}; law {law.name!r} takes {', '.join(law.inputs)}")
    return given
