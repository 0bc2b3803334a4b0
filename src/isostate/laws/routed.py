"""Routed models, and fine-grained mixtures of experts.

    log10 L = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d,   1/Ehat = 1/(E - 1 + 1/(1/E_s - 1/E_m)) + 1/E_m

Source: Clark et al. 2022 eq. 1 and 2 (N parameters of the dense model, E experts), fitted by squares of log L.

    L(N, D, G) = c + (g G^-gamma + a) N^-alpha + b D^-beta

Source: Krajewski et al. 2024 eq. 9 (N total parameters, G granularity).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isostate.laws.law import Array, Inputs, Law, Parameter

LN10 = float(np.log(10.0))


def evaluate_routed(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """Clark's bilinear law in the logs, with the saturating expert count."""
    a, b, c, d, E_s, E_m = p
    n = np.log10(x["N"])
    width = 1.0 / E_s - 1.0 / E_m
    inner = x["E"] - 1.0 + 1.0 / width
    inverse = 1.0 / inner + 1.0 / E_m
    e = -np.log10(inverse)
    value = 10.0 ** (a * n + b * e + c * n * e + d)
    by_log = value * LN10
    by_e = by_log * (b + c * n)
    # e = -log10(1/inner + 1/E_m); d inner / d width = -1/width^2
    by_inverse = -by_e / (LN10 * inverse)
    by_width = by_inverse / (inner**2 * width**2)
    return value, (
        by_log * n,
        by_log * e,
        by_log * n * e,
        by_log * np.ones_like(n),
        -by_width / E_s**2,
        by_width / E_m**2 - by_inverse / E_m**2,
    )


def evaluate_fine_grained(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """Krajewski's law with granularity."""
    c, g, a, b, gamma, alpha, beta = p
    log_G, log_N, log_D = np.log(x["G"]), np.log(x["N"]), np.log(x["D"])
    from_N, from_D, from_G = np.exp(-alpha * log_N), np.exp(-beta * log_D), np.exp(-gamma * log_G)
    grain = g * from_G
    return c + (grain + a) * from_N + b * from_D, (
        np.ones((1, 1)),
        from_G * from_N,
        from_N,
        from_D,
        -grain * log_G * from_N,
        -(grain + a) * from_N * log_N,
        -b * from_D * log_D,
    )


ROUTED = Law(
    name="routed",
    equation="log10 L(N, E) = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d",
    source="Clark et al. 2022, eq. 1 and 2",
    inputs=("N", "E"),
    parameters=(
        Parameter("a", "linear", low=-np.inf, starts=(-0.05, -0.1)),
        Parameter("b", "linear", low=-np.inf, starts=(-0.05, -0.15)),
        Parameter("c", "linear", low=-np.inf, starts=(0.0, 0.02)),
        Parameter("d", "linear", low=-np.inf, starts=(1.0, 1.5)),
        Parameter("E_s", starts=(1.2, 2.0, 4.0)),
        Parameter("E_m", starts=(50.0, 300.0, 1000.0)),
    ),
    evaluate=evaluate_routed,
    # the dense size at which experts no longer help, b + c log10 N = 0
    derived={"N_cutoff": lambda p: 10.0 ** (-p["b"] / p["c"])},
    objective="squares-log",
)

FINE_GRAINED = Law(
    name="fine-grained",
    equation="L(N, D, G) = c + (g G^-gamma + a) N^-alpha + b D^-beta",
    source="Krajewski et al. 2024, eq. 9",
    inputs=("N", "D", "G"),
    parameters=(
        Parameter("c", starts=(0.3, 1.0)),
        Parameter("g", starts=(1.0, 10.0)),
        Parameter("a", starts=(10.0, 100.0)),
        Parameter("b", starts=(10.0, 100.0)),
        Parameter("gamma", starts=(0.3, 0.6, 1.0)),
        Parameter("alpha", starts=(0.1, 0.2, 0.4)),
        Parameter("beta", starts=(0.1, 0.2, 0.4)),
    ),
    evaluate=evaluate_fine_grained,
    linear=("c", "g", "a", "b"),
    derived={"N_exponent": lambda p: p["beta"] / (p["alpha"] + p["beta"])},  # of N* in C = 6 N D, at every G
)
