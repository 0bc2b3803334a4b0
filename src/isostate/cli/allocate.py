"""`isostate allocate`: what a fitted law says to train for a budget of compute, time or memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from isostate.cli import law_words, show
from isostate.cli.budgets import DOUBTS, Budget, Paid, budget_of, fixed_of, limits_of
from isostate.cli.law_lists import list_public
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
    PublicOption,
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

if TYPE_CHECKING:
    from isostate.laws import Fit
    from isostate.laws.allocate import Allocation

ComputeOption = Annotated[
    str | None, typer.Option("--compute", metavar="FLOPS,...", help="Budgets of training FLOPs (6 N D): 1e23,1e24.")
]
HoursOption = Annotated[
    str | None, typer.Option("--hours", metavar="HOURS,...", help="Budgets of training time at --flops-per-s.")
]
RateOption = Annotated[
    str | None, typer.Option("--flops-per-s", metavar="RATE", help="FLOPs a second that all the hardware achieves.")
]
InferenceOption = Annotated[
    str | None,
    typer.Option("--inference-tokens", metavar="TOKENS", help="Tokens in use, paid for too: 2 N each."),
]
MemoryOption = Annotated[
    str | None, typer.Option("--memory-bytes", metavar="BYTES,...", help="Budgets of memory for weights and state.")
]
PerParamOption = Annotated[
    str | None, typer.Option("--bytes-per-param", metavar="BYTES", help="With --memory-bytes. (default: 2)")
]
PerElementOption = Annotated[
    str | None, typer.Option("--bytes-per-element", metavar="BYTES", help="Of state, likewise. (default: 2)")
]
SequencesOption = Annotated[
    str | None, typer.Option("--sequences", metavar="N", help="Served together, each with its state. (default: 1)")
]
AtOption = Annotated[
    str | None, typer.Option("--at", metavar="X=VALUE,...", help="The law's other inputs: U=1e9 or T=4096,S=1e6.")
]
MaxOption = Annotated[str | None, typer.Option("--max", metavar="X=VALUE,...", help="At most this: N=7e9,D=1e13.")]
MinOption = Annotated[str | None, typer.Option("--min", metavar="X=VALUE,...", help="At least this: N=1e8.")]


def allocate(
    table: TableArgument = None,
    law: LawOption = None,
    x: XOption = None,
    y: YOption = None,
    where: WhereOption = None,
    fit: FitFileOption = None,
    public: PublicOption = None,
    compute: ComputeOption = None,
    hours: HoursOption = None,
    flops_per_s: RateOption = None,
    inference_tokens: InferenceOption = None,
    memory_bytes: MemoryOption = None,
    bytes_per_param: PerParamOption = None,
    bytes_per_element: PerElementOption = None,
    sequences: SequencesOption = None,
    most: MaxOption = None,
    least: MinOption = None,
    at: AtOption = None,
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
    """The best sizes for a budget of compute, time or memory, by a law fitted here, saved, or published."""
    if public == "list":
        return list_public(json)
    request = Request(
        table, law, x, y, where or (), None, objective, bootstrap, resampling, cluster, weights, level, seed, runs
    )
    paid = Paid(
        compute, hours, flops_per_s, inference_tokens, memory_bytes, bytes_per_param, bytes_per_element, sequences
    )
    from isostate.cli.law_fits import law_and_fit

    form, make = law_and_fit(request, fit, public)
    budget = budget_of(paid, form)
    limits, fixed = limits_of(form, budget, most, least), fixed_of(form, budget, at)
    with show.waiting("fitting"):
        by = make()
        found = frontier(by, budget, limits, fixed)
    if json:
        show.print_json(answer_of(by, budget, found, limits, fixed))
    else:
        _print(by, budget, found, fixed)
    return 0


def frontier(
    by: Fit, budget: Budget, limits: dict[str, tuple[float, float]], fixed: dict[str, float]
) -> list[Allocation]:
    """The allocation for each amount of the budget, with alarms for what is fixed far from any run too."""
    from isostate.laws.allocate import extrapolation
    from isostate.laws.allocate import frontier as allocations

    found = allocations(by, budget.amounts, cost=budget.cost, pair=budget.pair, fixed=fixed, limits=limits)
    beyond = extrapolation(by, fixed) if by.points else []
    if budget.unit != "bytes" and by.law.name in DOUBTS:
        beyond.append(DOUBTS[by.law.name])
    return [replace(one, alarms=(*one.alarms, *beyond)) for one in found]


def answer_of(
    by: Fit, budget: Budget, found: list[Allocation], limits: dict[str, tuple[float, float]], fixed: dict[str, float]
) -> dict[str, Any]:
    """The answer as plain values."""
    from isostate.laws.result import plain

    answer = {
        "law": by.law.name,
        "values": by.values,
        "pair": list(budget.pair),
        "unit": budget.unit,
        "cost": budget.words,
        "limits": {symbol: list(ends) for symbol, ends in limits.items()},
        "fixed": fixed,
        "level": by.level,
        "allocations": [one.to_dict() for one in found],
        "fit_alarms": list(by.alarms),
    }
    return plain(answer)


def _print(by: Fit, budget: Budget, found: list[Allocation], fixed: dict[str, float]) -> None:
    from isostate.laws.columns import words_of

    screen = show.console()
    lines = [
        ("law", f"{by.law.name}: {law_words.fitted_equation(by.law.equation, by.values)}"),
        ("budget", budget.words),
        ("where", ", ".join(f"{symbol} is {words_of(symbol)}" for symbol in (*budget.pair, by.law.output))),
    ]
    if fixed:
        lines.append(("fixed", ", ".join(f"{symbol} = {law_words.number(value)}" for symbol, value in fixed.items())))
    level = f"{100 * by.level:g} %"
    source = f"{level}, {len(by.draws):,} draws" if by.draws is not None else "none: these values come without draws"
    lines.append(("intervals", source))
    screen.print(law_words.facts(lines))
    ratio = budget.pair == ("N", "D")
    heads = ["budget", *(head for symbol in budget.pair for head in (symbol, "from", "to"))]
    heads += ["D / N"] * ratio + [by.law.output, "from", "to"]
    cells = []
    for shown, one in zip(budget.shown, found, strict=True):
        amounts = [one.amounts[symbol] for symbol in budget.pair]
        cell = [shown, *(law_words.number(v, 4) for i in amounts for v in (i.value, i.low, i.high))]
        cell += [law_words.number(amounts[1].value / amounts[0].value, 4)] * ratio
        cells.append([*cell, *(law_words.number(v, 5) for v in (one.loss.value, one.loss.low, one.loss.high))])
    screen.print()
    law_words.print_table(screen, show.table(heads, cells))
    screen.print()
    shared = [alarm for alarm in found[0].alarms if all(alarm in one.alarms for one in found)]
    alarms = shared + [
        f"{shown}: {alarm}"
        for shown, one in zip(budget.shown, found, strict=True)
        for alarm in one.alarms
        if alarm not in shared
    ]
    law_words.print_alarms(screen, [*alarms, *(f"the fit: {alarm}" for alarm in by.alarms)])
