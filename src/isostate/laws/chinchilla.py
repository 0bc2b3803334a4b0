"""L(N, D) = E + A N^-alpha + B D^-beta, and what follows from it when C = 6 N D.

Source: Hoffmann et al. 2022 (approach 3, section D.2, with its 4,500 starts); Besiroglu et al. 2024 on how to fit it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isostate.laws.law import Array, Inputs, Law, Parameter


def evaluate(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """The Chinchilla surface and its derivatives."""
    E, A, B, alpha, beta = p
    log_N, log_D = np.log(x["N"]), np.log(x["D"])
    from_N, from_D = np.exp(-alpha * log_N), np.exp(-beta * log_D)
    lost_N, lost_D = A * from_N, B * from_D
    return E + lost_N + lost_D, (np.ones((1, 1)), from_N, from_D, -lost_N * log_N, -lost_D * log_D)


CHINCHILLA = Law(
    name="chinchilla",
    equation="L(N, D) = E + A N^-alpha + B D^-beta",
    source="Hoffmann et al. 2022, eq. 10 and section D.2",
    inputs=("N", "D"),
    parameters=(
        Parameter("E", starts=tuple(np.exp([-1.0, -0.5, 0.0, 0.5, 1.0]))),
        Parameter("A", starts=tuple(np.exp([0.0, 5.0, 10.0, 15.0, 20.0, 25.0]))),
        Parameter("B", starts=tuple(np.exp([0.0, 5.0, 10.0, 15.0, 20.0, 25.0]))),
        Parameter("alpha", "linear", starts=(0.0, 0.5, 1.0, 1.5, 2.0)),
        Parameter("beta", "linear", starts=(0.0, 0.5, 1.0, 1.5, 2.0)),
    ),
    evaluate=evaluate,
    linear=("E", "A", "B"),
    derived={
        "a": lambda p: p["beta"] / (p["alpha"] + p["beta"]),
        "b": lambda p: p["alpha"] / (p["alpha"] + p["beta"]),
        "G": lambda p: (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1.0 / (p["alpha"] + p["beta"])),
    },
)
