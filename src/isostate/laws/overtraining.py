"""Over-training at a fixed token multiple M = D/N, and downstream error from loss.

    L(C, M) = E + (a M^eta + b M^-eta) C^-eta,      Err(L) = eps - k exp(-gamma L)

Source: Gadre et al. 2024, eq. 4 and 5: both fitted by least squares.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isostate.laws.law import Array, Inputs, Law, Parameter


def evaluate_loss(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """Loss from compute and token multiple."""
    E, a, b, eta = p
    log_C, log_M = np.log(x["C"]), np.log(x["M"])
    up, down = np.exp(eta * (log_M - log_C)), np.exp(-eta * (log_M + log_C))
    return E + a * up + b * down, (
        np.ones((1, 1)),
        up,
        down,
        a * up * (log_M - log_C) - b * down * (log_M + log_C),
    )


def evaluate_error(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """Downstream error from loss."""
    eps, k, gamma = p
    decay = np.exp(-gamma * x["L"])
    return eps - k * decay, (np.ones((1, 1)), -decay, k * decay * x["L"])


OVERTRAINING = Law(
    name="overtraining",
    equation="L(C, M) = E + (a M^eta + b M^-eta) C^-eta",
    source="Gadre et al. 2024, eq. 4",
    inputs=("C", "M"),
    parameters=(
        Parameter("E", starts=(0.5, 1.0, 2.0)),
        Parameter("a", starts=(10.0, 100.0, 1000.0)),
        Parameter("b", starts=(10.0, 100.0, 1000.0)),
        Parameter("eta", starts=(0.05, 0.1, 0.2, 0.4)),
    ),
    evaluate=evaluate_loss,
    linear=("E", "a", "b"),
    # the multiple at which a M^eta + b M^-eta is least: compute-optimal training, at every C
    derived={"M_best": lambda p: (p["b"] / p["a"]) ** (0.5 / p["eta"])},
    objective="squares",
)

DOWNSTREAM = Law(
    name="downstream",
    equation="Err(L) = eps - k exp(-gamma L)",
    source="Gadre et al. 2024, eq. 5",
    inputs=("L",),
    parameters=(
        Parameter("eps", starts=(0.5, 0.8, 1.0)),
        Parameter("k", starts=(0.1, 1.0, 10.0, 100.0)),
        Parameter("gamma", starts=(0.1, 0.3, 1.0, 2.0, 4.0)),
    ),
    evaluate=evaluate_error,
    output="Err",
    objective="squares",
)
