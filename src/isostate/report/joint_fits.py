"""The laws of several resources of a study: state with the training context, state with the parameters.

An entry of laws.json as `fits.fit_laws` makes them; of its group the varied coordinate is None. Beside the fit stands
"best": the state that each measured context or size asks for, S*(T) or S*(N), with its interval (laws/consequences.py),
and "states", the least and the most that was trained: beyond them S* is not measured, and only told to lie there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from isostate import laws
from isostate.laws.consequences import state_for_context, state_for_params
from isostate.laws.result import Fit, Interval
from isostate.report import claims
from isostate.report import rows as runs
from isostate.report.rows import Row

BOOTSTRAP = 400  # of draws: an end of an interval then strays by a thirtieth of its width
VARIED = {"state-context": "train_context", "state-params": "size"}
CLAIMED = {"state-context": 0.5, "state-params": 1.0}  # exponents of S*, by the note that Isostate comes from
STAR: dict[str, Callable[[Fit, float], Interval]] = {
    "state-context": state_for_context,
    "state-params": state_for_params,
}


def fit_joint(name: str, table: list[Row]) -> list[dict[str, Any]]:
    """Every family's law `name`, one of VARIED, at the longest evaluated context; softmax has no state of its own."""
    entries = []
    for group, members in _groups(name, table):
        context = group["eval_context"]
        x = {
            "S": [float(runs.state(row)) for row in members],
            **({"T": [float(row["train_context"]) for row in members]} if name == "state-context" else {}),
            **({"N": [float(n_params(row)) for row in members]} if name == "state-params" else {}),
        }
        losses = [runs.final_loss(row, context) for row in members]
        states = [min(x["S"]), max(x["S"])]
        with np.errstate(all="ignore"):  # draws beyond floats are left out
            fit = laws.fit_law(laws.LAWS[name], x, losses, bootstrap=BOOTSTRAP, profile_points=0)
        entries.append({"group": group, **fit.to_dict(), "states": states, "best": _best(name, fit, members)})
    return entries


def settled(entry: dict[str, Any]) -> bool:
    """Whether the fit converged, and off its bounds.

    The draws of one that did not pile up on the bound too, and their intervals say where the bound is.
    """
    return bool(entry["converged"] and not entry["bound_hits"])


def exponent_verdict(entry: dict[str, Any]) -> claims.Verdict:
    """The verdict on the exponent of S* that the note claims."""
    return claims.of_exponent(exponent(entry), CLAIMED[entry["law"]])


def exponent(entry: dict[str, Any]) -> dict[str, Any] | None:
    """{"value", "low", "high"} of S*; None where there is no fit.

    It has no ends where the fit is not settled, or puts less than two S* among the states that were trained.
    """
    found = entry["derived"].get("state_exponent")
    if found is None or (settled(entry) and len(trained(entry)) > 1):
        return found
    return {"value": found["value"], "low": None, "high": None}


def trained(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """The places of "best" whose S* lies among the states that were trained."""
    least, most = entry["states"]
    return [point for point in entry["best"] if least <= point["value"] <= most]


def n_params(row: Row) -> int:
    """Those outside the embedding: what families are matched by."""
    return row["n_params"]["non_embedding"]


def _groups(name: str, table: list[Row]) -> Iterator[tuple[dict[str, Any], list[Row]]]:
    every = runs.conditions(table)
    varied = VARIED[name]
    longest = max(runs.eval_contexts(table), default=0)
    found: dict[tuple, list[Row]] = {}
    for row in runs.evaluated_at(table, longest):
        if not row["family"].startswith("softmax"):
            held = {"size": runs.size_name(runs.size(row)), "train_context": row["train_context"], varied: None}
            key = (row["family"], held["size"], held["train_context"], runs.condition_label(runs.condition(row), every))
            found.setdefault(key, []).append(row)
    for key in sorted(found, key=str):
        family, size, train_context, condition = key
        group = {
            "family": family,
            "size": size,
            "train_context": train_context,
            "eval_context": longest,
            "condition": condition,
        }
        yield group, sorted(found[key], key=lambda row: row["run_id"])


def _best(name: str, fit: Fit, members: list[Row]) -> list[dict[str, Any]]:
    """[{"x", "value", "low", "high"}] at each measured context or size, of whose parameter counts the least is taken.

    An exponent of the state next to 0 asks for more elements than floats can count: such a place is left out.
    """
    if not fit.params:
        return []
    at: dict[Any, float] = {}
    for row in members:
        place = row["train_context"] if name == "state-context" else runs.size(row)
        x = float(row["train_context"] if name == "state-context" else n_params(row))
        at[place] = min(x, at.get(place, x))
    found = {value: STAR[name](fit, value) for value in sorted(at.values())}
    return [
        {"x": value, **{key: star.to_dict()[key] for key in ("value", "low", "high")}}
        for value, star in found.items()
        if np.isfinite(star.value)
    ]
