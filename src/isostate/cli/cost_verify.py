"""`isostate cost --verify`: builds and runs the model, and sets what was counted beside what was predicted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.text import Text

from isostate.cli import cost_words, show
from isostate.cli.amounts import size_of
from isostate.cli.cost_models import config_named
from isostate.config import UserError

if TYPE_CHECKING:
    from isostate.costs.verify import Row
    from isostate.model import ModelConfig

DIFFERS = 1  # the exit code
QUIET = "6"  # of libkineto's levels: else torch's profiler says on stderr that it starts and stops


def verify(name: str, batch: int, asked_context: str | None, json: bool) -> int:
    """0 where all that was counted is as predicted, else 1. Raises UserError for a model that cannot be built."""
    if batch < 1:
        raise UserError(f"batch = {batch}: must be at least 1")
    os.environ.setdefault("KINETO_LOG_LEVEL", QUIET)  # before torch is imported
    config, own_context = config_named(name)
    context = own_context if asked_context is None else size_of(asked_context, "--context")
    config.check_context(context)
    from isostate.costs import verify as harness

    with show.waiting("building the model and running it"):
        rows = harness.verify(config, batch, context)
    differing, computed = [row for row in rows if row.holds is False], harness.is_small(config, batch, context)
    if json:
        listed = [{**row._asdict(), "holds": row.holds, "error": row.error} for row in rows]
        show.print_json(
            {"model": name, "batch": batch, "context": context, "rows": listed, "verdict": verdict(rows),
             "computed": computed}
        )  # fmt: skip
        return DIFFERS if differing else 0
    screen = show.console()
    on = "on this CPU" if computed else "on fake tensors"
    screen.print(f"{name} · batch {batch:,} · context {context:,} · built and run {on}", soft_wrap=True)
    screen.print()
    screen.print(show.table(["", "unit", "predicted", "counted", ""], [_cells(row) for row in rows]))
    screen.print()
    if not computed:
        screen.print(Text(_too_large(config, batch, context)), soft_wrap=True)
    screen.print(verdict(rows), soft_wrap=True)
    for row in differing:
        screen.print(f"differs: {row.quantity}: {row.predicted:,} predicted, {row.counted:,} counted", soft_wrap=True)
    return DIFFERS if differing else 0


def verdict(rows: list[Row]) -> str:
    """'verified: 18 of 18 counts equal, 2 peaks within 3 %'; counts that could not be made are said."""
    claims = {True: "equal", False: f"within {100 * _tolerance(rows):.0f} %"}
    said = []
    for exact, words in claims.items():
        counted = [row for row in rows if row.holds is not None and (row.tolerance == 0) is exact]
        if counted:
            noun = "counts" if exact else "peaks of memory"
            said.append(f"{sum(bool(row.holds) for row in counted)} of {len(counted)} {noun} {words}")
    left = [row for row in rows if row.counted is None and row.tolerance is not None]
    if left:
        said.append(f"{show.plural(len(left), 'row')} not run")
    wrong = any(row.holds is False for row in rows)
    return f"{'NOT verified' if wrong else 'verified'}: {', '.join(said)}"


def _tolerance(rows: list[Row]) -> float:
    return max((row.tolerance for row in rows if row.tolerance), default=0.0)


def _cells(row: Row) -> list[str]:
    counted = "not run" if row.counted is None else f"{row.counted:,}"
    return [row.quantity, row.unit, f"{row.predicted:,}", counted, _said(row)]


def _said(row: Row) -> str:
    if row.error is None:
        return ""
    if row.tolerance == 0:
        return "equal" if row.holds else "DIFFERS"
    percent = f"{100 * row.error:+.3f} %"
    return percent if row.holds else f"{percent}, no claim" if row.tolerance is None else f"{percent} DIFFERS"


def _too_large(config: ModelConfig, batch: int, context: int) -> str:
    """Why some of it was not run, and how to run it."""
    from isostate.costs.verify import LARGEST_BYTES, MOST_FLOPS, small_context, step_size

    n_bytes, n_flops = step_size(config, batch, context)
    smaller = small_context(config, batch, context)
    advice = (
        f"--context {smaller}" if smaller else "--batch 1" if batch > 1 else "a config of fewer layers or less width"
    )
    return (
        f"fake tensors are sizes without numbers: a step takes {show.decimal(n_bytes, 'B')} and "
        f"{cost_words.flop(n_flops)}, of which at most {show.decimal(LARGEST_BYTES, 'B')} and "
        f"{cost_words.flop(MOST_FLOPS)} are computed here; for the peak of memory, {advice}"
    )
