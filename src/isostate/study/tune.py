"""lr = "tune": the learning rate of each family, from ordinary runs on its first text, smallest model, middle context
and middle state. The smallest is of the sizes whose `lr_share` is 1, if there is one; of two middles it is the lower.

Rates are tried from the middle of the grid on, until both neighbours of the best were tried or it is the grid's end.
The best is used at every state and, times its `lr_share`, every size of the family: cheap, and the same favour for all
families. With lr_for = "state" the largest state is tuned as well, from the middle state's rate on; where the two
disagree, states between them try the rates between theirs: a wide memory that is learnt late may want a higher rate
than a narrow one. A state that was not tuned takes the rate of the nearest that was.

A run of the study that happens to equal a tuning run is that run, and is not trained again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from isostate.config import UserError
from isostate.study.config import RatesFor
from isostate.study.grid import Cell

Rates = dict[str, dict[int, float]]  # by family, by the knob's value where it was tuned (0 where there is no knob)
Results = Mapping[str, dict[str, Any]]


def tuning_cells(
    cells: Sequence[Cell], grid: Sequence[float], seed: int, lr_for: RatesFor = "family", results: Results | None = None
) -> list[Cell]:
    """The runs that decide, as far as `results` (by run id) tell which: more results may ask for more."""
    rates, known = sorted(grid), results or {}
    return [
        cell.at(rate, seed, "tune")
        for family in families(cells)
        for cell, tried in _wanted(_at_one_place(cells, family), rates, seed, lr_for, known)
        for rate in tried
    ]


def _at_one_place(cells: Sequence[Cell], family: str) -> list[Cell]:
    """The family on its first text, at its smallest size and middle context: a cell a state, in their order."""
    members = [cell for cell in cells if cell.family == family]
    members = [cell for cell in members if cell.config.data.text == members[0].config.data.text]
    members = [cell for cell in members if cell.lr_share == 1] or members
    smallest = min(_size(cell) for cell in members)
    members = [cell for cell in members if _size(cell) == smallest]
    contexts = sorted({cell.config.data.context for cell in members})
    middle = contexts[(len(contexts) - 1) // 2]
    states = {cell.state: cell for cell in members if cell.config.data.context == middle}
    return [states[state] for state in sorted(states)]


def _wanted(
    states: Sequence[Cell], rates: Sequence[float], seed: int, lr_for: RatesFor, known: Results
) -> Iterator[tuple[Cell, Sequence[float]]]:
    """Cells and the rates to try at each."""

    def loss(cell: Cell, rate: float) -> float | None:
        result = known.get(cell.at(rate, seed, "tune").run_id)
        return None if result is None else _loss(result)

    at = (len(states) - 1) // 2
    middle, largest = states[at], states[-1]
    tried, first = _climb(rates, (len(rates) - 1) // 2, partial(loss, middle))
    yield middle, tried
    if lr_for == "family" or first is None or largest is middle:
        return
    tried, last = _climb(rates, first, partial(loss, largest))
    yield largest, tried
    if last is not None and last != first:
        between = rates[min(first, last) : max(first, last) + 1]
        yield from ((cell, between) for cell in states[at + 1 : -1])


def _climb(
    rates: Sequence[float], start: int, loss: Callable[[float], float | None]
) -> tuple[Sequence[float], int | None]:
    """The rates to try from `start` on, as far as their losses are known, and which is the best once that is known."""
    last = len(rates) - 1
    low, high = max(start - 1, 0), min(start + 1, last)
    while True:
        losses = [loss(rate) for rate in rates[low : high + 1]]
        known = [found for found in losses if found is not None]
        if len(known) < len(losses):
            return rates[low : high + 1], None
        best = low + known.index(min(known))
        wider = min(low, max(best - 1, 0)), max(high, min(best + 1, last))
        if wider == (low, high):
            return rates[low : high + 1], best
        low, high = wider


def choose_rates(tuning: Sequence[Cell], results: Results, grid: Sequence[float]) -> tuple[Rates, list[str]]:
    """The rate of the lowest loss at the longest evaluated context, and notices of choices at the grid's ends.

    `results` by run id; a diverged run loses against all others. Raises UserError where a state diverged at all rates.
    """
    rates: Rates = {}
    notices = []
    for family in families(tuning):
        mine = [cell for cell in tuning if cell.family == family]
        rates[family] = {}
        losses: dict[int, dict[float, float]] = {}
        for cell in mine:
            losses.setdefault(_knob(cell), {})[cell.rate] = _loss(results[cell.run_id])
        for knob, tried in losses.items():
            best = rates[family][knob] = min(tried, key=lambda rate: (tried[rate], rate))
            where = family if len(losses) == 1 else f"{family} at {mine[0].config.model.mixer.knob} {knob}"
            if tried[best] == math.inf:
                those = ", ".join(f"{rate:g}" for rate in tried)
                raise UserError(f"train.lr_grid: {where} diverged at every rate tried ({those}); add lower ones")
            if len(grid) > 1 and best in (min(grid), max(grid)):
                end = "highest" if best == max(grid) else "lowest"
                notices.append(
                    f"{where}: the {end} rate of lr_grid, {best:g}, was the best; widen the grid at that end"
                )
    return rates, notices


def settle(cells: Sequence[Cell], rates: Rates) -> list[Cell]:
    """The cells at the rates of the nearest states of their families that were tuned; those of no such family stay."""
    return [cell.at(_nearest(rates[cell.family], _knob(cell))) if cell.family in rates else cell for cell in cells]


def _nearest(rates: Mapping[int, float], knob: int) -> float:
    """By the ratio of knobs; of two equally near the smaller."""
    return rates[min(rates, key=lambda tuned: (abs(math.log(max(tuned, 1) / max(knob, 1))), tuned))]


def _knob(cell: Cell) -> int:
    return cell.config.model.mixer.knob_value or 0


def families(cells: Sequence[Cell]) -> list[str]:
    """In the order of the study."""
    return list(dict.fromkeys(cell.family for cell in cells))


def _size(cell: Cell) -> tuple[int, int]:
    model = cell.config.model
    return model.n_layers * model.d_model**2, model.n_layers


def _loss(result: dict[str, Any]) -> float:
    if result["status"] != "done":
        return math.inf
    loss = result["final"][max(result["final"], key=int)]["loss_nats"]
    return math.inf if loss is None else loss
