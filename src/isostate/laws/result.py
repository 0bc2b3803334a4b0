"""`Fit`: what every fit returns. Values never travel without their interval, objective, alarms and advice."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isostate.laws.law import Array, Inputs, Law


@dataclass(frozen=True)
class Interval:
    """A value with its interval at the fit's level; `None` ends were not to be had (the alarms say why)."""

    value: float
    low: float | None = None
    high: float | None = None
    se: float | None = None

    def to_dict(self) -> dict[str, float | None]:
        plain = {"value": self.value, "low": self.low, "high": self.high}
        return {**plain, "se": self.se} if self.se is not None else plain


@dataclass(frozen=True)
class HoldOut:
    """The fit on the smaller points predicts the largest, which it has not seen. `error` = predicted/observed - 1.

    Where several are held out, x to high are of the largest; `mean_abs_error`, `mean_error` of all n.
    """

    x: float
    observed: float
    predicted: float
    low: float
    high: float
    n: int = 1
    mean_abs_error: float | None = None
    mean_error: float | None = None

    @property
    def error(self) -> float:
        return self.predicted / self.observed - 1.0

    @property
    def covered(self) -> bool:
        return self.low <= self.observed <= self.high

    def to_dict(self) -> dict[str, float]:
        return {**self.__dict__, "error": self.error}


@dataclass(frozen=True)
class ParameterProfile:
    """Every other parameter refitted at each of this one's `values`: how far that raises -2 log likelihood.

    The interval ends where `rise` crosses `threshold`. An open end is one where it never does: every value beyond fits
    as well. `rise` is negative where a profile came upon a better optimum than the fit's.
    """

    name: str
    values: Array  # natural units, ascending; the fit's own among them
    rise: Array
    threshold: float
    interval: Interval
    open_ends: tuple[str, ...]

    @property
    def flat(self) -> bool:
        return bool(self.open_ends)

    def to_dict(self) -> dict[str, Any]:
        return {
            "values": [float(f"{value:.6g}") for value in self.values],
            "rise": [float(f"{rise:.4g}") for rise in self.rise],
            "threshold": float(f"{self.threshold:.6g}"),
            "interval": self.interval.to_dict(),
            "open_ends": list(self.open_ends),
        }


@dataclass(frozen=True)
class Curve:
    """The fitted law over a range of x, with its pointwise band."""

    x: tuple[float, ...] = ()
    y: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()


@dataclass(frozen=True)
class Fit:
    """A fitted law. A fit that failed has no `params`: it has alarms and advice."""

    law: Law
    objective: str
    interval_method: str
    level: float
    points: tuple[dict[str, Any], ...]  # x (or each input), y, held_out
    params: dict[str, Interval] = field(default_factory=dict)
    derived: dict[str, Interval] = field(default_factory=dict)
    curve: Curve = field(default_factory=Curve)
    holdout: HoldOut | None = None
    converged: bool = False
    starts: int = 0
    starts_at_optimum: int = 0
    objective_value: float | None = None
    bound_hits: tuple[str, ...] = ()  # parameters that ended on a bound of their domain
    noise: dict[str, Any] = field(default_factory=dict)  # sd, dof, source (words)
    diagnostics: dict[str, Any] = field(default_factory=dict)
    alarms: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    bootstrap: dict[str, Interval] = field(default_factory=dict)
    profiles: dict[str, ParameterProfile] = field(default_factory=dict, compare=False)  # of each parameter
    tail: float | None = None  # share of the draws beyond either end of an interval
    draws: Array | None = field(default=None, repr=False, compare=False)  # (bootstraps, parameters), natural units

    @property
    def values(self) -> dict[str, float]:
        return {name: interval.value for name, interval in self.params.items()}

    @property
    def share_at_optimum(self) -> float:
        return self.starts_at_optimum / self.starts if self.starts else 0.0

    def predict(self, x: Inputs) -> Array:
        assert self.params, "a failed fit predicts nothing; look at its alarms first"
        return self.law.predict(self.values, {name: np.asarray(column, dtype=float) for name, column in x.items()})

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values only: no NaN, no infinity, no numpy."""
        return plain(
            {
                "law": self.law.name,
                "equation": self.law.equation,
                "source": self.law.source,
                "objective": self.objective,
                "objective_value": self.objective_value,
                "intervals": self.interval_method,
                "level": self.level,
                "points": list(self.points),
                "params": {name: interval.to_dict() for name, interval in self.params.items()},
                "derived": {name: interval.to_dict() for name, interval in self.derived.items()},
                "bootstrap": {name: interval.to_dict() for name, interval in self.bootstrap.items()},
                "profiles": {name: profile.to_dict() for name, profile in self.profiles.items()},
                "curve": {key: list(values) for key, values in self.curve.__dict__.items()},
                "holdout": self.holdout.to_dict() if self.holdout else None,
                "converged": self.converged,
                "starts": self.starts,
                "starts_at_optimum": self.starts_at_optimum,
                "bound_hits": list(self.bound_hits),
                "noise": self.noise,
                "diagnostics": self.diagnostics,
                "alarms": list(self.alarms),
                "advice": list(self.advice),
            }
        )


def plain(value: Any) -> Any:
    """As JSON has it: no numpy, None for what is not finite."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
