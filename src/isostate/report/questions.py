"""What the five questions of the reference study ask of its tables, each an answer in numbers. See numbers.py.

A table is of one model's records; a "place" is all that is held equal while something else varies.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from itertools import pairwise
from statistics import fmean
from typing import Any

from isostate.report import heatmaps, reading, seeds
from isostate.report import rows as runs
from isostate.report.rows import Row

Numbers = dict[str, Any]
BUDGETS = 7  # of training FLOPs

# Loss at a context of 4,096 of models of 124M parameters by elements of state (issue 6 names them): the families' order
# and slope are compared with ours, not the values, whose data and scale are others.
PUBLISHED = (
    ("linear", 0.60e6, 2.961),
    ("power-2", 19.5e6, 2.476),
    ("softmax", 75.5e6, 2.389),
    ("power-4", 7.17e9, 2.359),
    ("power-6", 1.12e12, 2.329),
)


def answers(table: list[Row]) -> Numbers:
    """What the questions ask of one study's table, as far as it varies what they are about."""
    finished = runs.drawn(table)
    told: Numbers = {"at_equal_state": at_equal_state(table)}
    if len(runs.train_contexts(finished)) > 1:
        told |= {"contexts": contexts(table), "against_softmax": against_softmax(table)}
    if len(runs.sizes(finished)) > 1:
        told["at_compute"] = at_compute(table, budgets_of(finished))
    clocks = ["here", *(["a100"] if all(row.get(reading.A100) for row in finished) else [])]
    told["at_budgets"] = [best for clock in clocks for best in at_budgets(table, clock)] if finished else []
    if len({row["corpus"] for row in finished}) > 1:
        told["by_text"] = by_text(table)
    return told


def budgets_of(finished: list[Row], count: int = BUDGETS) -> list[float]:
    """Training FLOPs, evenly spaced in their logarithm, from those of the cheapest run to those of the dearest."""
    low, high = (float(pick(row["train_flops"] for row in finished)) for pick in (min, max))
    return [low * (high / low) ** (i / (count - 1)) for i in range(count)]


def at_equal_state(table: list[Row]) -> list[Numbers]:
    """Question 1: for each size and context the families by loss at states that two of them share to a tenth."""
    longest = max(runs.eval_contexts(runs.drawn(table)), default=0)
    places: dict[tuple, list[Row]] = {}
    for row in runs.evaluated_at(runs.drawn(table), longest):
        places.setdefault(runs.cell(row)[1:4], []).append(row)
    told = []
    for (size, context, _), rows in sorted(places.items(), key=str):
        means = {
            (family, state): fmean(runs.final_loss(row, longest) for row in seeds)
            for family in runs.families(rows)
            for state, seeds in runs.by_state(row for row in rows if row["family"] == family).items()
        }
        for (family, state), loss in sorted(means.items(), key=lambda item: (item[0][1], item[0][0])):
            near = {
                other: (loss_there, abs(there / state - 1))
                for (other, there), loss_there in means.items()
                if other != family and abs(there / state - 1) < 0.1
            }
            if near:
                told.append(
                    {
                        "size": runs.size_name(size),
                        "train_context": context,
                        "state": state,
                        "losses": {family: loss, **{name: value for name, (value, _) in sorted(near.items())}},
                    }
                )
    return told


def contexts(table: list[Row]) -> list[Numbers]:
    """Question 2: for each family and size, at each evaluated context, the best training context of a state and the
    best state of a training context; whether the former lies inside the range (the published U shape)."""
    finished = runs.drawn(table)
    told = []
    for evaluated in runs.eval_contexts(finished):
        for (family, size), rows in _by(runs.evaluated_at(finished, evaluated), lambda r: (r["family"], runs.size(r))):
            cells = _means(rows, evaluated, lambda row: (row["train_context"], runs.state(row)))
            trained = sorted({context for context, _ in cells})
            by_state = {state: {t: loss for (t, s), loss in cells.items() if s == state} for _, state in cells}
            best = {str(state): min(losses, key=losses.__getitem__) for state, losses in sorted(by_state.items())}
            inside = [context not in (trained[0], trained[-1]) for context in best.values()]
            best_state = {
                str(context): min((loss, s) for (t, s), loss in cells.items() if t == context)[1] for context in trained
            }
            told.append(
                {
                    "family": family,
                    "size": runs.size_name(size),
                    "eval_context": evaluated,
                    "best_train_context_by_state": best,
                    "share_of_states_with_an_interior_best": sum(inside) / len(inside),
                    "best_state_by_train_context": best_state,
                }
            )
    return told


def against_softmax(table: list[Row]) -> list[Numbers]:
    """Question 2: each family's largest state less softmax, by training and evaluated context: positive is behind."""
    finished = runs.drawn(table)
    told = []
    for evaluated in runs.eval_contexts(finished):
        rows = runs.evaluated_at(finished, evaluated)
        for (size, context), here in _by(rows, lambda r: (runs.size(r), r["train_context"])):
            softmax = [runs.final_loss(row, evaluated) for row in here if row["family"] == "softmax"]
            if not softmax:
                continue
            behind = {}
            for family in runs.families(here):
                if family != "softmax":
                    state, seeds = max(runs.by_state(row for row in here if row["family"] == family).items())
                    loss = fmean(runs.final_loss(row, evaluated) for row in seeds)
                    behind[family] = {"state": state, "behind_nats": loss - fmean(softmax)}
            place = {"size": runs.size_name(size), "train_context": context, "eval_context": evaluated}
            told.append({**place, "softmax": fmean(softmax), "families": behind})
    return told


def at_compute(table: list[Row], budgets: Iterable[float]) -> list[Numbers]:
    """Question 3: within each budget of training FLOPs the best size and state of a family, by the curves as far as
    rates had not decayed."""
    told = []
    for budget in budgets:
        for family, rows in _by(runs.drawn(table), lambda row: row["family"]):
            reached = {row["run_id"]: loss for row in rows if (loss := _at_flops(row, budget)) is not None}
            if reached:
                best = min((row for row in rows if row["run_id"] in reached), key=lambda row: reached[row["run_id"]])
                n_params = best["n_params"]["non_embedding"]
                told.append(
                    {
                        "budget_flops": budget,
                        "family": family,
                        "parameters": n_params,
                        "state": runs.state(best),
                        "state_over_parameters": runs.state(best) / n_params,
                        "loss": reached[best["run_id"]],
                        "runs": len(reached),
                    }
                )
    return told


def at_budgets(table: list[Row], clock: str) -> list[Numbers]:
    """Question 4: for each family and stop of the page's slider the best training context and state, before any rate
    decayed; seconds by clock, "here" as measured or "a100" as predicted."""
    timed, told = heatmaps.timed_runs(table), []
    for seconds in heatmaps.stops(timed, clock) if timed else []:
        for (family, size), rows in _by(timed, lambda row: (row["family"], runs.size(row))):
            losses = {
                row["run_id"]: loss
                for row in rows
                if (loss := heatmaps.reached_within(row, seconds, clock)) is not None
            }
            within = [row for row in rows if row["run_id"] in losses]
            cells = heatmaps.cells_of(within, lambda row, losses=losses: losses[row["run_id"]])
            reached = {place: mean for place, (mean, _) in cells.items()}
            if reached:
                context, state = min(reached, key=lambda place: (reached[place], place))
                place = {"family": family, "size": runs.size_name(size), "clock": clock, "seconds": seconds}
                best = {"train_context": context, "state": state, "loss": reached[context, state]}
                told.append({**place, **best, "settings": len(reached)})
    return told


def by_text(table: list[Row]) -> list[Numbers]:
    """Question 5: for each text and family the loss (all tokens; answers and text alone, where they are told apart) by
    state, and nats gained a doubling of state between the smallest and the largest."""
    finished = runs.drawn(table)
    told = []
    for (text, family, size), rows in _by(finished, lambda r: (r["corpus"], r["family"], runs.size(r))):
        for evaluated in runs.eval_contexts(rows):
            parts = sorted({name for row in rows for name in row["final"].get(str(evaluated), {}).get("parts", {})})
            for part in ("all", *parts):
                found = {
                    state: [runs.part_loss(row, evaluated, part) for row in seeds]
                    for state, seeds in runs.by_state(rows).items()
                }
                finite = {state: [loss for loss in losses if loss is not None] for state, losses in found.items()}
                losses = {state: fmean(kept) for state, kept in finite.items() if len(kept) == len(found[state])}
                if len(losses) < 2:
                    continue
                place = {"text": text, "family": family, "size": runs.size_name(size), "eval_context": evaluated}
                told.append(
                    {
                        **place,
                        "part": part,
                        "losses": {str(s): v for s, v in losses.items()},
                        "nats_a_doubling": a_doubling(losses),
                        "interval": _doubling_with_ends((text, family, size, evaluated, part), finite, losses),
                    }
                )
    return told


def published() -> list[Numbers]:
    """The published points, and the fall in nats a doubling of state from each to the next."""
    points = [{"family": family, "state": state, "loss": loss} for family, state, loss in PUBLISHED]
    steps = [a_doubling({a[1]: a[2], b[1]: b[2]}) for a, b in pairwise(PUBLISHED)]
    return [
        {**point, "nats_a_doubling_from_the_last": step} for point, step in zip(points, [None, *steps], strict=True)
    ]


def a_doubling(losses: Mapping[Any, float]) -> float:
    """Nats gained a doubling of state, between the smallest and the largest of `losses` by state."""
    low, high = min(losses), max(losses)
    return (losses[low] - losses[high]) / math.log2(high / low)


def _doubling_with_ends(place: tuple, by_state: Mapping[int, list[float]], losses: Mapping[int, float]) -> Numbers:
    """The same with an interval from the noise of these very states' seeds; without one where none is repeated."""
    low, high = min(losses), max(losses)
    values: dict[Hashable, float] = {(*place, state): loss for state, loss in losses.items()}
    counts: dict[Hashable, int] = {(*place, state): len(by_state[state]) for state in losses}
    means = seeds.Means(values, counts, seeds.pooled(by_state[state] for state in losses))
    found = means.difference((*place, low), (*place, high)).to_dict()
    return {end: None if value is None else value / math.log2(high / low) for end, value in found.items()}


def _at_flops(row: Row, budget: float) -> float | None:
    """Held-out loss at the longest context by the last evaluation within the budget."""
    within = [loss for train_flops, loss in reading.points(row, "flops") if train_flops <= budget]
    return within[-1] if within else None


def _means(rows: Iterable[Row], context: int, place: Any) -> dict[Any, float]:
    return {key: fmean(runs.final_loss(row, context) for row in group) for key, group in _by(rows, place)}


def _by(rows: Iterable[Row], key: Any) -> list[tuple[Any, list[Row]]]:
    groups: dict[Any, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return sorted(groups.items(), key=lambda item: str(item[0]))
