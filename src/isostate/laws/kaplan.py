"""Kaplan's joint law, L(N, D) = [(N_c/N)^(a_N/a_D) + D_c/D]^a_D.

Source: Kaplan et al. 2020 eq. 1.5 (a_N .076, a_D .103, N_c 6.4e13, D_c 1.8e13); FORMULAS section 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isostate.laws.law import Array, Inputs, Law, Parameter


def evaluate(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """The joint law and its derivatives."""
    N_c, D_c, a_N, a_D = p
    log_ratio = np.log(N_c) - np.log(x["N"])
    from_N = np.exp((a_N / a_D) * log_ratio)
    from_D = D_c / x["D"]
    inner = from_N + from_D
    log_inner = np.log(inner)
    value = np.exp(a_D * log_inner)
    outer = a_D * value / inner  # dL / d inner
    return value, (
        outer * from_N * (a_N / a_D) / N_c,
        outer / x["D"],
        outer * from_N * log_ratio / a_D,
        value * log_inner - outer * from_N * log_ratio * a_N / a_D**2,
    )


KAPLAN = Law(
    name="kaplan",
    equation="L(N, D) = [(N_c/N)^(a_N/a_D) + D_c/D]^a_D",
    source="Kaplan et al. 2020, eq. 1.5",
    inputs=("N", "D"),
    parameters=(
        Parameter("N_c", starts=tuple(np.exp([16.0, 22.0, 28.0, 34.0, 40.0]))),
        Parameter("D_c", starts=tuple(np.exp([16.0, 22.0, 28.0, 34.0, 40.0]))),
        Parameter("a_N", starts=(0.03, 0.08, 0.2, 0.5)),
        Parameter("a_D", starts=(0.03, 0.1, 0.2, 0.5)),
    ),
    evaluate=evaluate,
    # with C = 6 N D the inner sum has its minimum at N* = (r N_c^r C / (6 D_c))^(1/(1+r)), r = a_N / a_D
    derived={"a": lambda p: p["a_D"] / (p["a_N"] + p["a_D"])},
)
