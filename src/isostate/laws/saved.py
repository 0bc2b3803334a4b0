"""A fit as JSON and back: what allocation and planning need of it, draws included, without its table."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from isostate.config import Config, UserError, nearest
from isostate.laws import LAWS
from isostate.laws.result import Fit, Interval

DIGITS = 9  # of a draw: far below its noise, and half the bytes


class SavedInterval(Config):
    """A value with its ends."""

    value: float
    low: float | None = None
    high: float | None = None
    se: float | None = None


class SavedFit(Config):
    """The keys of a saved fit that are read back; the others are for people."""

    law: str
    objective: str
    intervals: str
    level: float
    tail: float | None
    points: list[dict[str, float | bool | None]]
    params: dict[str, SavedInterval]
    alarms: list[str]
    advice: list[str]
    draws: list[list[float | None]] | None


def saved(fit: Fit) -> dict[str, Any]:
    """`Fit.to_dict()` and the draws, (bootstraps, parameters) in natural units, that intervals come from."""
    draws = None
    if fit.draws is not None:
        draws = [[float(f"{v:.{DIGITS}g}") if np.isfinite(v) else None for v in row] for row in fit.draws]
    return {**fit.to_dict(), "tail": fit.tail, "draws": draws}


def read_saved(path: Path) -> Fit:
    """The fit that `saved` wrote to a file of JSON. Raises UserError for anything else."""
    if not path.is_file():
        raise UserError(f"no file {path}; give what isostate fit --json wrote")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise UserError(f"{path.name}: not JSON; give what isostate fit --json wrote") from None
    return restored(values, path.name)


def restored(values: Any, where: str) -> Fit:
    """The fit of saved values; `where` names them in messages."""
    if not isinstance(values, dict) or "law" not in values:
        raise UserError(f"{where}: not a fit; give what isostate fit --json wrote")
    held = SavedFit.parse({key: values[key] for key in SavedFit.model_fields if key in values}, where)
    if held.law not in LAWS:
        raise UserError(f"{where}: no law {held.law!r}{nearest(held.law, LAWS)}; it was fitted by another version")
    law = LAWS[held.law]
    if held.params and set(held.params) != set(law.names):
        told = f"its parameters are {', '.join(held.params)}, those of law {law.name!r} {', '.join(law.names)}"
        raise UserError(f"{where}: {told}; fit again")
    if not held.params and not held.alarms:
        raise UserError(f"{where}: neither parameters nor the reason why there are none; fit again")
    needed = {"x", "y"} if len(law.inputs) == 1 and any("x" in point for point in held.points) else {*law.inputs, "y"}
    if not all((point.get(key) or 0.0) > 0.0 for point in held.points for key in needed):
        raise UserError(f"{where}: a point without a positive {', '.join(sorted(needed))}; fit again")
    draws = None
    if held.draws is not None:
        if any(len(row) != len(law.names) for row in held.draws):
            raise UserError(f"{where}: draws of {len(law.names)} parameters are wanted; fit again")
        draws = np.array([[np.nan if v is None else v for v in row] for row in held.draws], dtype=float)
    return Fit(
        law,
        held.objective,
        held.intervals,
        held.level,
        points=tuple(dict(point) for point in held.points),
        params={name: Interval(**held.params[name].to_dict()) for name in law.names} if held.params else {},
        alarms=tuple(held.alarms),
        advice=tuple(held.advice),
        tail=held.tail,
        draws=draws,
    )
