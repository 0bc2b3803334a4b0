"""Batch size: the steps it saves, the critical batch at a loss, and where learning rate and batch are best.

    steps(B) = S_min + E_min / B     (the hyperbola (S/S_min - 1)(E/E_min - 1) = 1 with E = B S examples)
    B_crit(L) = B_star L^(-1/alpha_B)
    lr(N, D) = k N^a D^b,  batch(D) = k D^b

Sources: McCandlish et al. 2018 eq. 2.11; Kaplan et al. 2020 eq. 1.4 (2.1e8 tokens, alpha_B .21); Li et al. 2025,
Step Law (lr 1.79 N^-.713 D^.307, batch .58 D^.571, in tokens); FORMULAS sections 3 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isostate.laws.law import Array, Evaluate, Inputs, Law, Parameter


def evaluate_steps(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """Steps to a fixed loss from batch size."""
    S_min, E_min = p
    return S_min + E_min / x["B"], (np.ones((1, 1)), 1.0 / x["B"])


def evaluate_critical(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """Critical batch size from loss."""
    B_star, alpha_B = p
    log_L = np.log(x["L"])
    shape = np.exp(-log_L / alpha_B)
    return B_star * shape, (shape, B_star * shape * log_L / alpha_B**2)


def _product(symbols: Sequence[str]) -> Evaluate:
    def evaluate(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
        logs = [np.log(x[symbol]) for symbol in symbols]
        shape = np.exp(sum(exponent * log for exponent, log in zip(p[1:], logs, strict=True)))
        return p[0] * shape, (shape, *(p[0] * shape * log for log in logs))

    return evaluate


CRITICAL_BATCH = Law(
    name="critical-batch",
    equation="steps(B) = S_min + E_min / B",
    source="McCandlish et al. 2018, eq. 2.11",
    inputs=("B",),
    parameters=(Parameter("S_min", starts=(10.0, 1e3, 1e5)), Parameter("E_min", starts=(1e3, 1e6, 1e9))),
    evaluate=evaluate_steps,
    linear=("S_min", "E_min"),
    output="steps",
    derived={"B_crit": lambda p: p["E_min"] / p["S_min"]},
    objective="squares-log",
)

NOISE_SCALE = Law(
    name="noise-scale",
    equation="B_crit(L) = B_star L^(-1/alpha_B)",
    source="Kaplan et al. 2020, eq. 1.4",
    inputs=("L",),
    parameters=(Parameter("B_star", starts=(1e5, 1e8)), Parameter("alpha_B", starts=(0.1, 0.2, 0.4))),
    evaluate=evaluate_critical,
    output="B_crit",
    objective="squares-log",
)

STEP_LAW_LR = Law(
    name="step-law-lr",
    equation="lr(N, D) = k N^a D^b",
    source="Li et al. 2025 (Step Law): 1.79 N^-.713 D^.307",
    inputs=("N", "D"),
    parameters=(
        Parameter("k", starts=(0.1, 1.0, 10.0)),
        Parameter("a", "linear", low=-np.inf, starts=(-1.0, -0.5)),
        Parameter("b", "linear", low=-np.inf, starts=(0.0, 0.5)),
    ),
    evaluate=_product(("N", "D")),
    output="lr",
    objective="squares-log",
)

STEP_LAW_BATCH = Law(
    name="step-law-batch",
    equation="batch(D) = k D^b",
    source="Li et al. 2025 (Step Law): .58 D^.571",
    inputs=("D",),
    parameters=(Parameter("k", starts=(0.1, 1.0, 10.0)), Parameter("b", "linear", low=-np.inf, starts=(0.2, 0.7))),
    evaluate=_product(("D",)),
    output="batch",
    objective="squares-log",
)
