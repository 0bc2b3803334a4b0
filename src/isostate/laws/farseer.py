"""Farseer: L(N, D) = exp(s N^q + S) + exp(B N^b + Q) D^(-exp(A N^a + E)).

The exponent of the data term moves with N. Source: Li et al. 2025 (Farseer), eq. 5. In the fitted law q, b, a are
positive or negative powers, so N enters as (N / 1e9): the coefficients s, B, A are those at a billion parameters.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isostate.laws.law import Array, Inputs, Law, Parameter

REFERENCE_PARAMS = 1e9  # a scale inside the powers, so that coefficients are of order one


def evaluate(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """The surface and its nine derivatives."""
    s, q, S, B, b, Q, A, a, E = p
    log_N, log_D = np.log(x["N"] / REFERENCE_PARAMS), np.log(x["D"])
    power_q, power_b, power_a = np.exp(q * log_N), np.exp(b * log_N), np.exp(a * log_N)
    floor = np.exp(s * power_q + S)
    slope = np.exp(A * power_a + E)
    term = np.exp(B * power_b + Q - slope * log_D)
    by_slope = -term * log_D * slope
    return floor + term, (
        floor * power_q,
        floor * s * power_q * log_N,
        floor,
        term * power_b,
        term * B * power_b * log_N,
        term,
        by_slope * power_a,
        by_slope * A * power_a * log_N,
        by_slope,
    )


def _free(name: str, *starts: float) -> Parameter:
    return Parameter(name, "linear", low=-np.inf, starts=starts)


FARSEER = Law(
    name="farseer",
    equation="L(N, D) = exp(s N^q + S) + exp(B N^b + Q) D^(-exp(A N^a + E))",
    source="Li et al. 2025 (Farseer), eq. 5; N in billions inside the powers",
    inputs=("N", "D"),
    parameters=(
        _free("s", -0.5, -1.0),
        _free("q", 0.1, 0.3),
        _free("S", 0.5, 1.5),
        _free("B", 5.0, 10.0),
        _free("b", -0.1, -0.05),
        _free("Q", -5.0, 0.0),
        _free("A", -1.0, -2.0),
        _free("a", 0.1, 0.05),
        _free("E", 0.0, 0.5),
    ),
    evaluate=evaluate,
    objective="squares-log",
)
