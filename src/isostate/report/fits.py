"""The laws of a study: groups the runs that one law may join, and has isostate.laws fit each group."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from isostate import laws
from isostate.config import UserError, nearest
from isostate.laws.result import ParameterProfile
from isostate.report import rows as runs
from isostate.report.joint_fits import VARIED, fit_joint
from isostate.report.rows import Row

DRAWN_LAWS = ("state", *VARIED)  # laws whose x the page can take from a row


def fit_laws(table: list[Row], study: dict[str, Any], bootstrap: int = 0) -> list[dict[str, Any]]:
    """Entries of laws.json: a dict of `Fit.to_dict()` with its "group", for each law that the study asks for.

    A group is what a law holds equal: family, model size, training and evaluation context, condition. The fit of a
    group that cannot carry a law is an entry with alarms and advice. Raises UserError for a law the page cannot fit.
    The laws in the state alone have profile intervals; the `bootstrap` that checks them, of that many draws over seeds
    and points, takes seven times as long as the fit.
    """
    entries = []
    for spec in study["fit"]:
        if spec["law"] not in DRAWN_LAWS:
            advice = f"allowed: {', '.join(DRAWN_LAWS)}{nearest(spec['law'], DRAWN_LAWS)}"
            raise UserError(f'[[fit]] law = "{spec["law"]}" cannot be fitted from a study\'s report; {advice}')
        if spec["law"] in VARIED:
            entries += fit_joint(spec["law"], runs.drawn(table))
            continue
        for group, members in groups(runs.drawn(table)):
            context = group["eval_context"]
            states, losses = [runs.state(row) for row in members], [runs.final_loss(row, context) for row in members]
            fit = laws.fit_state(states, losses, bootstrap=bootstrap)
            entries.append({"group": group, **fit.to_dict()})
    return entries


def groups(table: list[Row]) -> Iterator[tuple[dict[str, Any], list[Row]]]:
    """Groups of finished runs with their members, in a fixed order."""
    every = runs.conditions(table)
    for condition in every:
        for size in runs.sizes(table):
            for train_context in runs.train_contexts(table):
                for eval_context in runs.eval_contexts(table):
                    for family in runs.families(table):
                        key = (family, size, train_context, condition)
                        found = [row for row in runs.evaluated_at(table, eval_context) if runs.cell(row)[:-1] == key]
                        if found:
                            group = group_of(family, size, condition, train_context, eval_context, every)
                            yield group, sorted(found, key=lambda row: (runs.state(row), row["seed"], row["run_id"]))


def group_of(
    family: str, size: Any, condition: Any, train_context: int, eval_context: int, every: list[Any]
) -> dict[str, Any]:
    """What a law holds equal, as laws.json has it; `every` are the study's conditions."""
    return {
        "family": family,
        "size": runs.size_name(size),
        "train_context": train_context,
        "eval_context": eval_context,
        "condition": runs.condition_label(condition, every),
    }


def of_state(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The laws in the state alone."""
    return [entry for entry in entries if entry["law"] == "state"]


def find(fits: list[dict[str, Any]], group: dict[str, Any]) -> dict[str, Any] | None:
    """The law in the state of this group, or None where it was not asked for."""
    return next((fit for fit in fits if fit["law"] == "state" and fit["group"] == group), None)


def read(entry: dict[str, Any]) -> laws.Fit:
    """The fit that an entry of laws.json tells of: all of it but the bootstrap's draws."""
    same = ("objective", "objective_value", "level", "noise", "diagnostics", "converged", "starts", "starts_at_optimum")
    listed = ("points", "bound_hits", "alarms", "advice")
    intervals = ("params", "derived", "bootstrap")
    held = entry["holdout"] and {key: value for key, value in entry["holdout"].items() if key != "error"}
    told: dict[str, Any] = {
        **{key: entry[key] for key in same},
        **{key: tuple(entry[key]) for key in listed},
        **{key: {name: laws.Interval(**ends) for name, ends in entry[key].items()} for key in intervals},
        "interval_method": entry["intervals"],
        "curve": laws.Curve(**{key: tuple(values) for key, values in entry["curve"].items()}),
        "holdout": laws.HoldOut(**held) if held else None,
        "profiles": {name: _profile(name, profile) for name, profile in entry["profiles"].items()},
    }
    return laws.Fit(law=laws.LAWS[entry["law"]], **told)


def _profile(name: str, told: dict[str, Any]) -> ParameterProfile:
    values, rise = (np.array(told[key], dtype=float) for key in ("values", "rise"))
    interval, ends = laws.Interval(**told["interval"]), tuple(told["open_ends"])
    return ParameterProfile(name, values, rise, told["threshold"], interval, ends)
