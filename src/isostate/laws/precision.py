"""Weights of few bits count as fewer parameters.

    L(N, D, P) = E + A N_eff^-alpha + B D^-beta,   N_eff = N (1 - exp(-P/gamma))

Source: Kumar et al. 2024 eq. 3 (P bits a weight during training).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isostate.laws.law import Array, Inputs, Law, Parameter


def evaluate(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """The law of effective parameters and its derivatives."""
    E, A, B, alpha, beta, gamma = p
    log_D, lost = np.log(x["D"]), np.exp(-x["P"] / gamma)
    kept = 1.0 - lost
    log_N = np.log(x["N"]) + np.log(kept)
    from_N, from_D = np.exp(-alpha * log_N), np.exp(-beta * log_D)
    by_kept = -alpha * A * from_N / kept
    return E + A * from_N + B * from_D, (
        np.ones((1, 1)),
        from_N,
        from_D,
        -A * from_N * log_N,
        -B * from_D * log_D,
        by_kept * (-lost * x["P"] / gamma**2),
    )


PRECISION = Law(
    name="precision",
    equation="L(N, D, P) = E + A [N (1 - exp(-P/gamma))]^-alpha + B D^-beta",
    source="Kumar et al. 2024, eq. 3",
    inputs=("N", "D", "P"),
    parameters=(
        Parameter("E", starts=(0.5, 1.0, 2.0)),
        Parameter("A", starts=(100.0, 1e4)),
        Parameter("B", starts=(100.0, 1e4)),
        Parameter("alpha", starts=(0.2, 0.4, 0.8)),
        Parameter("beta", starts=(0.2, 0.4, 0.8)),
        Parameter("gamma", starts=(0.5, 1.5, 3.0)),
    ),
    evaluate=evaluate,
    linear=("E", "A", "B"),
    derived={
        "a": lambda p: p["beta"] / (p["alpha"] + p["beta"]),
        "bits_99": lambda p: p["gamma"] * np.log(100.0),  # bits at which 1 % of the parameters is lost
    },
)
