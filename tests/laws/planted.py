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
    return Case({"L_inf": 1.7, "A": 3.0 * low**0.3, "alpha": 0.3}, {symbol: np.geomspace(low, high, 9)})


PLANTED = {
    "state": _power("S", 1e3, 1e6),
    "params": _power("N", 1e6, 1e10),
    "tokens": _power("D", 1e8, 1e12),
    "compute": _power("C", 1e17, 1e22),
    "context": _power("T", 128, 1e5),
    "state-params": Case(
        {"E": 1.5, "A": 60.0, "B": 8.0, "alpha": 0.3, "beta": 0.4},
        product(N=np.geomspace(1e6, 1e9, 5), S=np.geomspace(1e3, 1e6, 5)),
    ),
    "state-context": Case(
        {"E": 1.4, "H": 3.0, "B": 6.0, "chi": 0.25, "beta": 0.5, "tau": 0.2},
        product(S=np.geomspace(1e3, 1e6, 6), T=np.geomspace(128, 65536, 6)),
    ),
    "state-all": Case(
        {
            **{"E": 1.2, "A": 60.0, "B": 6.0, "H": 3.0, "K": 90.0},
            **{"alpha": 0.3, "beta": 0.5, "tau": 0.2, "chi": 0.25, "delta": 0.3},
        },
        product(
            N=np.geomspace(1e6, 1e9, 3),
            S=np.geomspace(1e3, 1e6, 4),
            T=np.geomspace(128, 65536, 4),
            D=np.geomspace(1e8, 1e11, 3),
        ),
    ),
    # Besiroglu et al. 2024
    "chinchilla": Case(
        {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658},
        product(N=np.geomspace(5e7, 1e10, 6), D=np.geomspace(1e9, 1e12, 6)),
    ),
    "kaplan": Case(
        {"N_c": 6.4e13, "D_c": 1.8e13, "a_N": 0.076, "a_D": 0.103},
        product(N=np.geomspace(1e5, 1e9, 6), D=np.geomspace(2e7, 2e10, 6)),
    ),
    "kaplan-steps": Case(
        {"E": 0.7, "A": 11.0, "B": 330.0, "alpha": 0.077, "sigma": 0.76},
        product(N=np.geomspace(1e5, 1e9, 6), steps=np.geomspace(1e3, 1e6, 6)),
    ),
    "farseer": Case(
        {"s": -0.7, "q": 0.17, "S": 0.1, "B": 11.0, "b": -0.1, "Q": -5.7, "A": -1.6, "a": 0.12, "E": 0.42},
        product(N=np.geomspace(2e8, 6e9, 8), D=np.geomspace(2e9, 2e11, 8)),
    ),
    # Porian et al. 2024
    "frontier": Case({"k": 0.118926, "a": 0.496895}, {"C": np.geomspace(1e16, 2e19, 8)}),
    # Muennighoff et al. 2023
    "repetition": Case(
        {"R_N": 5.3097, "R_D": 15.3878},
        product(N=np.geomspace(1e8, 1e10, 5), D=np.geomspace(1e9, 1e12, 5), U=np.array([3e8, 1e9])),
    ),
    "overtraining": Case(
        {"E": 1.8, "a": 120.0, "b": 900.0, "eta": 0.13},
        product(C=np.geomspace(1e17, 1e21, 5), M=np.geomspace(5, 640, 5)),
    ),
    "downstream": Case({"eps": 0.86, "k": 2.2, "gamma": 0.75}, {"L": np.linspace(2.0, 5.0, 9)}),
    # Clark et al. 2022, S-BASE
    "routed": Case(
        {"a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104, "E_s": 1.847, "E_m": 314.5},
        product(N=np.geomspace(1.5e7, 1.3e9, 6), E=np.array([1.0, 2, 8, 32, 128, 512])),
    ),
    # Krajewski et al. 2024, table 3
    "fine-grained": Case(
        {"c": 0.47, "g": 2.1, "a": 18.1, "b": 30.8, "gamma": 0.58, "alpha": 0.115, "beta": 0.147},
        product(N=np.geomspace(1e8, 1e11, 5), D=np.geomspace(1e9, 1e12, 5), G=np.array([1.0, 2, 4, 8, 16])),
    ),
    "precision": Case(
        {"E": 2.0, "A": 4000.0, "B": 18000.0, "alpha": 0.5, "beta": 0.5, "gamma": 2.67},
        product(N=np.geomspace(3e7, 2e9, 5), D=np.geomspace(1e9, 3e11, 5), P=np.array([3.0, 4, 6, 8, 12])),
    ),
    "critical-batch": Case({"S_min": 2e3, "E_min": 4e6}, {"B": np.geomspace(32, 65536, 8)}),
    "noise-scale": Case({"B_star": 2.1e8, "alpha_B": 0.21}, {"L": np.linspace(2.0, 6.0, 8)}),
    # Li et al. 2025, Step Law
    "step-law-lr": Case(
        {"k": 1.79, "a": -0.713, "b": 0.307}, product(N=np.geomspace(6e7, 1e9, 4), D=np.geomspace(2e9, 1e11, 4))
    ),
    "step-law-batch": Case({"k": 0.58, "b": 0.571}, {"D": np.geomspace(2e9, 1e11, 6)}),
}
