"""lr = "tune": the learning rate of each family, from ordinary runs on its first text, smallest model, middle state.
The smallest is of the sizes whose `lr_share` is 1, if there is one.

The best rate there is used at every state and, times its `lr_share`, every size of the family: cheap, and the same
favour for all families. A run of the study that happens to equal a tuning run is that run, and is not trained again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from isostate.config import UserError
from isostate.study.grid import Cell


def tuning_cells(cells: Sequence[Cell], grid: Sequence[float], seed: int) -> list[Cell]:
    """The runs that decide, at every rate: of a family its middle state, on its first text, smallest size, context."""
    chosen: list[Cell] = []
    for family in families(cells):
        members = [cell for cell in cells if cell.family == family]
        members = [cell for cell in members if cell.config.data.text == members[0].config.data.text]
        members = [cell for cell in members if cell.lr_share == 1] or members
        smallest = min(_place(cell) for cell in members)
        states = {cell.state: cell for cell in members if _place(cell) == smallest}
        middle = states[sorted(states)[(len(states) - 1) // 2]]
        chosen += [middle.at(rate, seed, "tune") for rate in grid]
    return chosen


def choose_rates(tuning: Sequence[Cell], results: Mapping[str, dict[str, Any]]) -> tuple[dict[str, float], list[str]]:
    """{family: rate of the lowest loss at the longest evaluated context}, and notices of choices at a grid's edge.

    `results` by run id; a diverged run loses against all others. Raises UserError where a family diverged at all rates.
    """
    rates: dict[str, float] = {}
    notices = []
    for family in families(tuning):
        losses = {cell.rate: _loss(results[cell.run_id]) for cell in tuning if cell.family == family}
        best = min(losses, key=lambda rate: (losses[rate], rate))
        if losses[best] == math.inf:
            tried = ", ".join(f"{rate:g}" for rate in losses)
            raise UserError(f"train.lr_grid: {family} diverged at every rate tried ({tried}); add lower ones")
        rates[family] = best
        if len(losses) > 1 and best in (min(losses), max(losses)):
            end = "highest" if best == max(losses) else "lowest"
            notices.append(f"{family}: the {end} rate of lr_grid, {best:g}, was the best; widen the grid at that end")
    return rates, notices


def settle(cells: Sequence[Cell], rates: Mapping[str, float]) -> list[Cell]:
    """The cells at their families' rates."""
    return [cell.at(rates[cell.family]) for cell in cells]


def families(cells: Sequence[Cell]) -> list[str]:
    """In the order of the study."""
    return list(dict.fromkeys(cell.family for cell in cells))


def _place(cell: Cell) -> tuple[int, int, int]:
    model = cell.config.model
    return model.n_layers * model.d_model**2, model.n_layers, cell.config.data.context


def _loss(result: dict[str, Any]) -> float:
    if result["status"] != "done":
        return math.inf
    loss = result["final"][max(result["final"], key=int)]["loss_nats"]
    return math.inf if loss is None else loss
