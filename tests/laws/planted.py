"""One planted case a law: published or plausible values and a design that can identify them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Case:
    """`values` of the parameters and `inputs`, each (points,)."""

    values: dict[str, float]
    inputs: dict[str, np.ndarray]


def product(**axes):
    """Every combination of the axes, one column a symbol."""
    grids = np.meshgrid(*axes.values(), indexing="ij")
    return {name: grid.ravel() for name, grid in zip(axes, grids, strict=True)}


def _power(symbol, low, high):
    return Case({"L_inf": 1.7, "A": 30.0, "alpha": 0.3}, {symbol: np.geomspace(low, high, 9)})


PLANTED = {
    "state": _power("S", 1e3, 1e6),
    "params": _power("N", 1e6, 1e10),
    "tokens": _power("D", 1e8, 1e12),
    "compute": _power("C", 1e17, 1e22),
    "context": _power("T", 128, 1e5),
}
