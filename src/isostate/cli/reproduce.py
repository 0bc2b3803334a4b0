"""`isostate reproduce`: one run trained again, and whether every bit of it is as it was, or where it first is not."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from isostate.cli import show
from isostate.cli.interrupt import interruptible
from isostate.cli.options import RUNS, JsonOption, RunsOption, cache_of
from isostate.cli.progress import display_for
from isostate.config import UserError

if TYPE_CHECKING:
    from isostate.records.difference import Comparison
    from isostate.study.reproduce import Target

RunArgument = Annotated[
    str, typer.Argument(metavar="RUN", help="A run's folder, or its name or the beginning of it.", show_default=False)
]
StudyOption = Annotated[
    str | None, typer.Option("--study", metavar="STUDY", help="The run's study: its file (with records) or name.")
]
StepsOption = Annotated[int | None, typer.Option("--steps", metavar="N", help="Compare the first N updates alone.")]


def reproduce(
    run: RunArgument,
    study: StudyOption = None,
    runs: RunsOption = RUNS,
    steps: StepsOption = None,
    json: JsonOption = False,
) -> int:
    """Train one run again and compare: bit-equal, or the first update that differs. Exit code 1 where it differs."""
    from isostate.study.reproduce import compared, find_run, retrain

    target = find_run(run, study, runs)
    upto = target.check_steps(steps)
    display = display_for(json)
    try:
        with interruptible() as interrupt:
            outcome = retrain(target, upto, runs, cache_of(runs), display, interrupt)
    finally:
        display.close()
    if outcome.problem:
        raise UserError(outcome.problem)
    if outcome.deaths:
        print(f"the run died: {outcome.deaths[target.run_id]}; run the same command to go on", file=sys.stderr)
        return 1
    if outcome.stopped:
        print("stopped; what was trained is kept: run the same command to go on", file=sys.stderr)
        return interrupt.exit_code
    comparison = compared(target, upto, runs)
    if json:
        show.print_json({"event": "compared", "against": target.origin, **comparison.to_dict()})
    else:
        for line in words(comparison, target):
            show.console().print(line, soft_wrap=True)
    return 0 if comparison.equal else 1


def words(comparison: Comparison, target: Target) -> list[str]:
    """The answer in lines: equal or not, and how this environment is another one than the first training's."""
    run, where = comparison.run_id, target.origin
    rows = f"{show.plural(comparison.n_rows, 'row')} of {show.plural(comparison.steps, 'update')}"
    if comparison.equal and comparison.metrics is None:
        lines = [f"bit-equal so far: run {run}, {rows} as in {where}"]
    elif comparison.equal:
        weights = "" if comparison.weights is None else ", the last weights"
        lines = [f"bit-equal: run {run}, {rows}{weights} and the result as in {where}"]
    elif (first := comparison.first_difference) is not None:
        lines = [
            f"differs: run {run}, first at update {first.step:,} of {target.steps:,}: {first.what} "
            f"{first.recorded!r} in {where}, {first.retrained!r} here"
        ]
    else:
        told = {"a row that the record leaves out": comparison.metrics, "the last weights": comparison.weights}
        other = [name for name, same in {**told, "the result": comparison.result}.items() if same is False]
        lines = [f"differs: run {run}, {rows} are as in {where}, but not: {', '.join(other)}"]
    for name, (recorded, here) in comparison.environment.items():
        lines.append(f"  {name}: {recorded} when it was recorded, {here} here")
    if not comparison.equal and not comparison.environment:
        lines.append("  versions, processor, kernels, code and threads are those that were recorded")
    return lines
