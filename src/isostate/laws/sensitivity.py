"""How much of a result is the analyst's: one call refits over the choices nobody reports.

Objectives, outliers dropped, ways to count parameters or FLOPs (with and without embeddings: Pearce & Song 2024 move
N*'s exponent from .51 to .78 that way), kinds of starts. `audit`: are published values an optimum of their objective?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from isostate.laws import advise
from isostate.laws.law import Array, Law
from isostate.laws.minimise import FINE, minimise
from isostate.laws.options import Options, Starts, objective_named
from isostate.laws.problem import Problem
from isostate.laws.search import search

OBJECTIVES_COMPARED = ("huber", "absolute", "squares-log", "squares")


def sensitivity(
    law: Law,
    x: Mapping[str, ArrayLike],
    y: ArrayLike,
    *,
    counts: Mapping[str, Mapping[str, ArrayLike]] | None = None,
    objectives: Sequence[str] = OBJECTIVES_COMPARED,
    drop: Sequence[int] = (0, 1, 5),
    starts: Sequence[Starts] = ("projected",),
    threads: int = 1,
) -> list[dict[str, Any]]:
    """Every combination of choices, one row each: the choices, n, objective value, parameters, what follows from them.

    `counts` maps a label to inputs that replace those of `x` ({"non-embedding": {"N": ...}}); `drop` leaves out that
    many of the points farthest from the law as first fitted.
    """
    inputs, y_n = advise.checked(law, x, y)
    variants: dict[str, dict[str, Array]] = {"as given": inputs}
    for label, replaced in (counts or {}).items():
        variants[label], _ = advise.checked(law, {**inputs, **replaced}, y_n)
    rows = []
    for label, columns in variants.items():
        for name in objectives:
            objective = objective_named(name)
            first = search(law, columns, y_n, objective, Options(threads=threads))
            predicted_n = law.predict_batch(first.values[None], columns)[0]
            order = np.argsort(np.abs(np.log(y_n) - np.log(predicted_n)))
            for dropped in drop:
                kept = np.sort(order[: len(order) - dropped])
                some = {symbol: column[kept] for symbol, column in columns.items()}
                for kind in starts:
                    found = search(law, some, y_n[kept], objective, Options(starts=kind, threads=threads))
                    values = dict(zip(law.names, found.values, strict=True))  # numpy's: a root of less than 0 is NaN
                    derived = {key: float(rule(values)) for key, rule in law.derived.items()}
                    rows.append(
                        {
                            "count": label,
                            "objective": name,
                            "dropped": dropped,
                            "starts": kind,
                            "n": len(kept),
                            "value": found.value,
                            "share": found.at_optimum / found.starts,
                            **{key: float(value) for key, value in values.items()},
                            **derived,
                        }
                    )
    return rows


def spread(rows: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float]:
    """Lowest and highest of one result over the matrix."""
    values = [float(row[name]) for row in rows]
    return min(values), max(values)


@dataclass(frozen=True)
class Audit:
    """Published values against the optimum that a search from them reaches."""

    objective: str
    value: float
    reachable: float
    values: dict[str, float]  # of the reachable optimum
    alarms: tuple[str, ...]


def audit(law: Law, x: Mapping[str, ArrayLike], y: ArrayLike, values: Mapping[str, float], objective: str) -> Audit:
    """Whether `values` minimise `objective` on these points; an alarm when a search goes on from them."""
    inputs, y_n = advise.checked(law, x, y)
    named = objective_named(objective)
    problem = Problem(law, named, inputs, y_n[None], np.ones((1, len(y_n))))
    theta = law.internal(np.array([[values[name] for name in law.names]]))
    start = problem.value(theta, np.arange(1))
    reached, end = minimise(problem, theta, tolerance=FINE)
    value, reachable = float(start[0]) * named.scale, float(end[0]) * named.scale
    alarms = []
    if value - reachable > 1e-3 * abs(reachable):
        excess = (value - reachable) / abs(reachable)
        told = f"not an optimum of {named.words}: {excess:.1%} above one that a search from there reaches"
        alarms.append(f"{told}; the optimiser stopped early, or the objective was another (averaged, not summed?)")
    best = dict(zip(law.names, (float(v) for v in law.natural(reached)[0]), strict=True))
    return Audit(objective, value, reachable, best, tuple(alarms))
