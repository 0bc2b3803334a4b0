"""How a law is to be fitted: one frozen record, checked against the table before anything is computed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from isostate.config import UserError, nearest
from isostate.laws.law import Array
from isostate.laws.objectives import OBJECTIVES, Objective

Starts = Literal["grid", "projected"]
Scheme = Literal["local", "residual", "wild", "case", "cluster"]
NoiseModel = Literal["equal", "log-variance-in-compute"]
POINTS = 41  # values a profile is evaluated at, before its ends are interpolated


@dataclass(frozen=True)
class Options:
    """How to fit.

    `weights` (points,) multiply each point's term of the objective: relative inverse variances of the residuals for
    squares, inverse scales for absolute errors and Huber. `standard_errors` (points,) of the losses make them, or
    `noise="log-variance-in-compute"` estimates them. `clusters` (points,) are runs whose points stand or fall together;
    None: points with equal inputs, which are seeds of one setting. `resampling` is told in resample.py; where none is
    named, fits whose seeds agree better than the law does draw settings, and laws beside their points draw cases.
    `bootstrap` resamples and `profile_points` values of each parameter's profile take most of the time; 0 leaves them
    out. Intervals of parameters are the bootstrap's; without one, the profile's. More `threads` change no number, and
    help only where points are thousands.
    """

    objective: str | None = None  # None: the one of the law's source
    starts: Starts | Array | None = None  # None: projected where the law has linear parameters
    bootstrap: int = 1000
    profile_points: int = POINTS
    resampling: Scheme | None = None  # None: see `scheme`
    clusters: ArrayLike | None = None
    weights: ArrayLike | None = None
    standard_errors: ArrayLike | None = None
    noise: NoiseModel = "equal"
    level: float = 0.95
    holdout: ArrayLike | Literal["largest"] | None = "largest"  # True where a point is held out
    seed: int = 0
    threads: int = 1

    @property
    def scheme(self) -> Scheme:
        """The bootstrap that is taken: the one named, else clusters where they are given, else local."""
        return self.resampling or ("local" if self.clusters is None else "cluster")


def checked_options(options: Options, n: int) -> Options:
    """The options, or a UserError naming the one that cannot be with a table of n points."""
    for name, kinds in (("resampling", Scheme), ("noise", NoiseModel)):
        given = getattr(options, name)
        if given is not None and given not in get_args(kinds):
            raise UserError(f"no {name} {given!r}{nearest(given, get_args(kinds))}; there are {_listed(kinds)}")
    if not 0.0 < options.level < 1.0:
        raise UserError(f"level {options.level:g} is not between 0 and 1; give 0.95 for 95 % intervals")
    for name in ("bootstrap", "profile_points"):
        if getattr(options, name) < 0:
            raise UserError(f"{name} {getattr(options, name)} is negative; 0 leaves it out")
    for name in ("clusters", "weights", "standard_errors"):
        column = getattr(options, name)
        if column is not None and np.shape(column) != (n,):
            raise UserError(f"{name} has shape {np.shape(column)}, the table {n} points; give one value a point")
    if options.weights is not None and options.standard_errors is not None:
        raise UserError("weights and standard errors are both given; the weights follow from standard errors")
    if options.noise != "equal" and not (options.weights is None and options.standard_errors is None):
        raise UserError(f"noise {options.noise!r} estimates the weights; leave weights and standard errors out")
    for name, lowest in (("weights", 0.0), ("standard_errors", np.finfo(float).tiny)):
        _check_column(name, getattr(options, name), lowest)
    return options


def _check_column(name: str, column: ArrayLike | None, lowest: float) -> None:
    if column is None:
        return
    values = np.asarray(column, dtype=float)
    bad = np.flatnonzero(~np.isfinite(values) | (values < lowest))
    if len(bad):
        raise UserError(f"{name}, row {bad[0] + 1}: {values[bad[0]]:g} cannot be; give a positive finite number")
    if not values.any():
        raise UserError(f"{name} are all 0: no point is left")


def _listed(kinds: object) -> str:
    return ", ".join(get_args(kinds))


def objective_named(name: str) -> Objective:
    """The objective, or a UserError that names those there are."""
    if name not in OBJECTIVES:
        raise UserError(f"no objective {name!r}{nearest(name, OBJECTIVES)}; there are {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]
