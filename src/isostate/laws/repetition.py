"""Data-constrained training: repeated tokens and excess parameters are worth less, exponentially.

    N' = U_N + U_N R_N* (1 - exp(-R_N / R_N*)),   D' = U + U R_D* (1 - exp(-R_D / R_D*)),
    L = E + A N'^-alpha + B D'^-beta
    R_D = D/U - 1,   U_N = min(N, N*(U)) with N* the compute-optimal size for U tokens,   R_N = N/U_N - 1

Source: Muennighoff et al. 2023, eq. 5 to 7 and its parametric_fit notebook: the five Chinchilla parameters are those
of single-epoch runs and stay fixed, R_N* and R_D* are fitted (published 5.3097 and 15.3878, weakly identified).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from isostate.laws.law import Array, Inputs, Law, Parameter

# Muennighoff et al. 2023 appendix B, C4, alpha and beta tied: exp of (.6254804, 6.255414, 7.3049974)
C4_SINGLE_EPOCH = {
    "E": float(np.exp(0.6254804)),
    "A": float(np.exp(6.255414)),
    "B": float(np.exp(7.3049974)),
    "alpha": 0.3526596,
    "beta": 0.3526596,
}


def saturated(unique: Array, repeats: Array, scale: Array) -> tuple[Array, Array]:
    """unique + unique scale (1 - exp(-repeats / scale)), and its derivative by scale."""
    decay = np.exp(-repeats / scale)
    return unique * (1.0 + scale * (1.0 - decay)), unique * (1.0 - decay - decay * repeats / scale)


def optimal_params(base: Mapping[str, float], tokens: Array) -> Array:
    """N*(D): the compute-optimal parameters for `tokens`, from D* = (C/6)^b / G and N* = G (C/6)^a."""
    alpha, beta = base["alpha"], base["beta"]
    G = (alpha * base["A"] / (beta * base["B"])) ** (1.0 / (alpha + beta))
    return (tokens * G) ** (beta / alpha) * G


def repetition_law(base: Mapping[str, float]) -> Law:
    """The law in R_N*, R_D* for a fixed single-epoch law."""

    def evaluate(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
        U = np.minimum(x["U"], x["D"])
        U_N = np.minimum(x["N"], optimal_params(base, U))
        N, dN = saturated(U_N, x["N"] / U_N - 1.0, p[0])
        D, dD = saturated(U, x["D"] / U - 1.0, p[1])
        lost_N, lost_D = base["A"] * N ** -base["alpha"], base["B"] * D ** -base["beta"]
        return base["E"] + lost_N + lost_D, (-base["alpha"] * lost_N / N * dN, -base["beta"] * lost_D / D * dD)

    return Law(
        name="repetition",
        equation="L(N, D, U) = E + A N'^-alpha + B D'^-beta, with N' and D' of U unique tokens",
        source="Muennighoff et al. 2023, eq. 5 to 7",
        inputs=("N", "D", "U"),
        parameters=(
            Parameter("R_N", starts=(1.0, 3.0, 10.0, 30.0)),
            Parameter("R_D", starts=(1.0, 3.0, 10.0, 30.0)),
        ),
        evaluate=evaluate,
        derived={
            "most_tokens": lambda p: 1.0 + p["R_D"],  # D' / U after endless epochs
            # epochs until one more is worth half of a fresh one, exp(-R_D / R_D*) = 1/2
            "half_value_epochs": lambda p: 1.0 + p["R_D"] * np.log(2.0),
        },
    )


REPETITION = repetition_law(C4_SINGLE_EPOCH)
