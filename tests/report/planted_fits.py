"""Fits of every law without fitting: planted values, points about them, draws and profiles of a known shape."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache

import numpy as np

from isostate.laws import LAWS, Fit, HoldOut, Interval
from isostate.laws.fit import derive
from isostate.laws.result import ParameterProfile
from tests.laws.planted import PLANTED

NOISE = 0.004  # relative standard deviation of a point about its law
SPREAD = 0.02  # of a draw about a parameter


@cache
def made(name: str, noise: float = NOISE) -> Fit:
    """The planted law as a fit: its last point held out, 200 draws, a parabola as the profile of each parameter."""
    law, case = LAWS[name], PLANTED[name]
    rng = np.random.default_rng(7)
    n = len(next(iter(case.inputs.values())))
    exact = law.predict(case.values, case.inputs)
    y = exact * np.exp(noise * rng.standard_normal(n))
    points = tuple(
        {**{s: float(column[i]) for s, column in case.inputs.items()}, "y": float(y[i]), "held_out": i == n - 1}
        for i in range(n)
    )
    values = np.array([case.values[parameter] for parameter in law.names])
    draws = values * (1.0 + SPREAD * rng.standard_normal((200, len(values))))
    last = math.prod(float(column[-1]) for column in case.inputs.values())
    return Fit(
        law=law,
        objective="sum of squares of the log residual",
        interval_method="percentile bootstrap, case",
        level=0.95,
        points=points,
        params={p: _interval(v) for p, v in zip(law.names, values, strict=True)},
        derived=derive(law, values, draws, 0.025),
        holdout=HoldOut(last, float(y[-1]), 1.01 * float(y[-1]), 0.97 * float(y[-1]), 1.04 * float(y[-1])),
        converged=True,
        starts=64,
        starts_at_optimum=60,
        objective_value=0.0123456,
        profiles={p: parabola(p, v) for p, v in zip(law.names, values, strict=True)},
        tail=0.025,
        draws=draws,
    )


def _interval(value: float) -> Interval:
    low, high = sorted((value * (1.0 - 2.0 * SPREAD), value * (1.0 + 2.0 * SPREAD)))
    return Interval(value, low, high, abs(SPREAD * value))


def parabola(name: str, value: float, open_ends: tuple[str, ...] = ()) -> ParameterProfile:
    """A profile that rises by 4 where the value is 4 % off, and whose interval ends there."""
    values = np.sort(value * (1.0 + np.linspace(-0.1, 0.1, 41)))
    rise = (2.0 * (values / value - 1.0) / 0.04) ** 2
    return ParameterProfile(name, values, rise, 4.0, _interval(value), open_ends)


def failed(name: str) -> Fit:
    """A fit that came to nothing: points, alarms, advice."""
    told = {"alarms": ("too few points",), "advice": ("train more sizes",)}
    nothing = {"params": {}, "derived": {}, "profiles": {}, "holdout": None, "draws": None, "tail": None}
    return replace(made(name), **nothing, **told)


def views(figure: dict) -> list[dict]:
    return list(figure["views"].values())


def dots(view: dict) -> dict:
    """The trace of a view that has a marker for each point of the fit."""
    markers = [
        trace
        for trace in view["data"]
        if trace.get("mode") == "markers" and isinstance(trace["marker"]["symbol"], list)
    ]
    (found,) = markers
    return found
