"""What a law is: an equation, its parameters, and one vectorised function that returns predictions and derivatives.

A law is evaluated for a whole batch of parameter vectors at once (thousands of starts, thousands of bootstrap
resamples), so parameters arrive as columns of shape (batch, 1) and predictions leave as (batch, points). Law symbols
stand bare here: N parameters, D tokens, C FLOPs, S state elements, T context, L loss.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Inputs = Mapping[str, Array]
# (parameters, each (batch, 1) in natural units; inputs, each (points,)) -> prediction (batch, points) and its
# derivative by each parameter in natural units, broadcastable to (batch, points)
Evaluate = Callable[[Sequence[Array], Inputs], tuple[Array, Sequence[Array]]]


@dataclass(frozen=True)
class Parameter:
    """One parameter. `scale` is the coordinate it is searched in; `low`, `high` are its domain, in natural units."""

    name: str
    scale: Literal["log", "linear"] = "log"
    low: float = 0.0
    high: float = np.inf
    starts: tuple[float, ...] = ()  # natural units


@dataclass(frozen=True)
class Law:
    """An equation with its source. `linear` names the parameters it is linear in, for variable projection."""

    name: str
    equation: str
    source: str
    inputs: tuple[str, ...]
    parameters: tuple[Parameter, ...]
    evaluate: Evaluate
    linear: tuple[str, ...] = ()
    output: str = "L"
    derived: Mapping[str, Callable[[Mapping[str, Array]], Array]] = field(default_factory=dict)  # of the parameters
    objective: str = "huber"  # the one its source used

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def nonlinear(self) -> tuple[Parameter, ...]:
        return tuple(parameter for parameter in self.parameters if parameter.name not in self.linear)

    def natural(self, theta_BK: Array) -> Array:
        """From search coordinates (logarithms where the parameter's scale is log) to natural units."""
        columns = [
            np.exp(np.clip(theta_BK[:, k], -700.0, 700.0)) if p.scale == "log" else theta_BK[:, k]
            for k, p in enumerate(self.parameters)
        ]
        return np.stack(columns, axis=1)

    def internal(self, values_BK: Array) -> Array:
        """From natural units to search coordinates."""
        tiny = np.finfo(float).tiny
        columns = [
            np.log(np.maximum(values_BK[:, k], tiny)) if p.scale == "log" else values_BK[:, k]
            for k, p in enumerate(self.parameters)
        ]
        return np.stack(columns, axis=1)

    def predict(self, values: Mapping[str, float], x: Inputs) -> Array:
        """The prediction (points,) of one parameter set in natural units."""
        values_BK = np.array([[values[name] for name in self.names]], dtype=float)
        return self.predict_batch(values_BK, x)[0]

    def predict_batch(self, values_BK: Array, x: Inputs) -> Array:
        value, _ = self.evaluate(list(values_BK.T[:, :, None]), x)
        return np.broadcast_to(value, (len(values_BK), _points(x)))

    def jacobian(self, theta_BK: Array, x: Inputs) -> tuple[Array, Array]:
        """Prediction (batch, points) and its derivative by the search coordinates (batch, parameters, points)."""
        values_BK = self.natural(theta_BK)
        columns = list(values_BK.T[:, :, None])
        value, partials = self.evaluate(columns, x)
        shape = (len(theta_BK), _points(x))
        jacobian = np.empty((shape[0], len(self.parameters), shape[1]))
        for k, (parameter, partial) in enumerate(zip(self.parameters, partials, strict=True)):
            jacobian[:, k] = partial * columns[k] if parameter.scale == "log" else partial
        return np.broadcast_to(value, shape), jacobian

    def start_grid(self, at_most: int = 4500) -> Array:
        """Combinations of the parameters' starts, in search coordinates, (starts, parameters).

        All of them up to `at_most`; beyond, that many spread evenly over the list by a stride coprime to its length.
        """
        sizes = [len(p.starts) for p in self.parameters]
        total = math.prod(sizes)
        stride = next(step for step in itertools.count(int(total * 0.618) | 1) if math.gcd(step, total) == 1)
        chosen = np.arange(total) if total <= at_most else np.arange(at_most) * stride % total
        index = np.unravel_index(chosen, sizes)
        columns = [np.asarray(p.starts)[i] for p, i in zip(self.parameters, index, strict=True)]
        return self.internal(np.stack(columns, axis=1).astype(float))


def _points(x: Inputs) -> int:
    return max(np.size(column) for column in x.values())
