"""N(C) = k C^a: the compute-optimal size as a power of compute, fitted to optima that were read off isoFLOP curves.

Sources: Kaplan et al. 2020 section 6 (a .73); Hoffmann et al. 2022, approaches 1 and 2 (a .50, .49); Porian et al. 2024
(from .835 to .497 by what is counted and tuned). `approaches` reads the optima off runs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isostate.laws.law import Array, Inputs, Law, Parameter


def evaluate(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
    """The power of compute and its derivatives."""
    k, a = p
    log_C = np.log(x["C"])
    shape = np.exp(a * log_C)
    return k * shape, (shape, k * shape * log_C)


FRONTIER = Law(
    name="frontier",
    equation="N(C) = k C^a",
    source="Kaplan et al. 2020, section 6; Hoffmann et al. 2022, section 3",
    inputs=("C",),
    parameters=(
        Parameter("k", starts=tuple(np.exp([-20.0, -10.0, -5.0, 0.0, 5.0]))),
        Parameter("a", "linear", low=-np.inf, starts=(0.3, 0.5, 0.8)),
    ),
    evaluate=evaluate,
    output="N",
    objective="squares-log",
)
