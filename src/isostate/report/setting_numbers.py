"""What an article tells of a study's settings: mean loss and seed noise, what state gains, other learning rates.

A setting is all that decides a run but its seed (rows.cell): the runs that figures and laws use, at their drawn rate.
"""

from __future__ import annotations

from collections.abc import Hashable
from statistics import fmean, stdev
from typing import Any, Literal

from isostate.report import rows as runs
from isostate.report import seeds
from isostate.report.rows import Row

Numbers = dict[str, Any]
KNOBS = {"window": "window", "d_state": "state a channel", "n_heads": "heads", "head_dim": "head size"}


def seed_noise(finished: list[Row], context: int | None = None) -> Numbers:
    """Pooled standard deviation of one run about the mean of its setting, over settings with several seeds."""
    noise = seeds.pooled(runs.losses(finished, context).values())
    return {"sd": noise.sd, "dof": noise.dof}


def noise_by(finished: list[Row], key: Literal["family", "lr"]) -> list[Numbers]:
    """The same apart for each family or learning rate: {key, "settings" (with several seeds), "of", "dof", "sd"}."""
    told = []
    for value in sorted({row[key] for row in finished}):
        groups = list(runs.losses([row for row in finished if row[key] == value]).values())
        noise = seeds.pooled(groups)
        repeated = sum(len(losses) > 1 for losses in groups)
        told.append({key: value, "settings": repeated, "of": len(groups), "dof": noise.dof, "sd": noise.sd})
    return told


def effects(finished: list[Row], noise: Numbers) -> list[Numbers]:
    """For each family, size, context and condition: the mean at every state, what is gained from the smallest state to
    the largest, and what of it is lost again from the best to the largest; in nats with an interval, and in noise."""
    longest = max(runs.eval_contexts(finished), default=0)
    known = seeds.Noise(noise["sd"], noise["dof"])
    rows = runs.evaluated_at(finished, longest)
    means = seeds.means(rows, runs.cell, lambda row: runs.final_loss(row, longest), known)
    every = runs.conditions(finished)
    states: dict[tuple, set[int]] = {}
    for row in rows:
        states.setdefault(runs.cell(row)[:-1], set()).add(runs.state(row))
    told = []
    for place, found in sorted(states.items(), key=str):
        family, size, context, condition = place
        at = {state: means.values[*place, state] for state in sorted(found)}
        _, best = min((mean, state) for state, mean in at.items())
        told.append(
            {
                "family": family,
                "size": runs.size_name(size),
                "train_context": context,
                "condition": runs.condition_label(condition, every),
                "means": {str(state): mean for state, mean in at.items()},
                "best_state": best,
                **_difference("fall", means, (*place, min(at)), (*place, max(at))),
                **_difference("rise", means, (*place, max(at)), (*place, best)),
            }
        )
    return told


def _difference(name: str, means: seeds.Means, first: Hashable, second: Hashable) -> Numbers:
    """The first setting's loss less the second's, and in standard deviations of one run; 0 of a setting from itself."""
    found = means.difference(first, second) if first != second else seeds.exactly(0.0)
    in_noise = found.value / means.noise.sd if means.noise.sd else None
    return {name: found.to_dict(), f"{name}_in_noise": in_noise}


def settings(finished: list[Row]) -> list[Numbers]:
    """Every setting: its knob, its state and what of it is the short convolution's, the feed-forward width that pays
    for it, its learning rate, the mean over seeds and, of several, their standard deviation."""
    every = runs.conditions(finished)
    knobs = {place: _knob(place, finished) for place in {runs.cell(row)[:2] for row in finished}}
    one_of = {runs.cell(row): row for row in finished}
    told = []
    for cell, losses in sorted(runs.losses(finished).items(), key=lambda item: _in_order(item[0])):
        row, knob = one_of[cell], knobs[cell[:2]]
        told.append(
            {
                **_place(cell, every),
                "knob": None if knob is None else {"name": KNOBS[knob], "value": row["mixer"][knob]},
                "state": cell[-1],
                "convolution": row["state"]["parts"].get("convolution", 0),
                "d_ff": row["config"].get("model", {}).get("d_ff"),
                "lr": row["lr"],
                "mean": fmean(losses),
                "sd": stdev(losses) if len(losses) > 1 else None,
                "seeds": len(losses),
            }
        )
    return told


def by_rate(table: list[Row]) -> list[Numbers]:
    """Settings that were trained at several learning rates: the mean loss at each over the seeds that all of them have
    (those of the tuning; where none is, over each rate's own), and which rate is drawn."""
    finished = runs.drawn(table)
    longest = max(runs.eval_contexts(finished), default=0)
    drawn, every = {(runs.cell(row), row["lr"]) for row in finished}, runs.conditions(finished)
    found: dict[tuple, dict[float, dict[int, float]]] = {}
    for row in runs.evaluated_at(runs.done(table), longest):
        rates = found.setdefault(runs.cell(row), {})
        rates.setdefault(row["lr"], {})[row["seed"]] = runs.final_loss(row, longest)
    told = []
    for cell, rates in sorted(found.items(), key=lambda item: _in_order(item[0])):
        if len(rates) < 2:
            continue
        shared = set.intersection(*(set(losses) for losses in rates.values()))
        tried = [
            {"lr": lr, "mean": fmean(losses[seed] for seed in shared or losses), "drawn": (cell, lr) in drawn}
            for lr, losses in sorted(rates.items())
        ]
        told.append({**_place(cell, every), "state": cell[-1], "seeds": sorted(shared), "rates": tried})
    return told


def _place(cell: tuple, every: list[tuple]) -> Numbers:
    family, size, context, condition, _ = cell
    named = {"family": family, "size": runs.size_name(size), "train_context": context}
    return {**named, "condition": runs.condition_label(condition, every)}


def _knob(place: tuple, finished: list[Row]) -> str | None:
    """What varies over a family's mixers at one size: its knob."""
    mixers = [row["mixer"] for row in finished if runs.cell(row)[:2] == place]
    return next((name for name in KNOBS if len({mixer.get(name) for mixer in mixers}) > 1), None)


def _in_order(cell: tuple) -> tuple:
    family, size, context, condition, state = cell
    return size, str(condition), context, family, state
