"""L(X) = L_inf + A X^-alpha: one resource at a time, everything else equal or plentiful.

Sources: Hestness et al. 2017; Kaplan et al. 2020 (L_inf = 0); Henighan et al. 2020 (with the offset); FORMULAS
section 5. The law `state` (X = S, elements of recurrent state) is this project's own question.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from isostate.laws.law import Array, Evaluate, Inputs, Law, Parameter


def power_law(name: str, symbol: str, source: str) -> Law:
    """The power law with an offset in the resource called `symbol`."""
    offset = Parameter("L_inf", starts=(0.1, 0.5, 1.0, 2.0, 4.0))
    scale = Parameter("A", starts=tuple(np.exp([0.0, 4.0, 8.0, 12.0])))
    exponent = Parameter("alpha", low=0.01, high=8.0, starts=(0.05, 0.2, 0.5, 1.0, 2.0))
    equation = f"L({symbol}) = L_inf + A {symbol}^-alpha"
    return Law(name, equation, source, (symbol,), (offset, scale, exponent), _evaluate(symbol), ("L_inf", "A"))


def _evaluate(symbol: str) -> Evaluate:
    def evaluate(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
        offset, scale, exponent = p
        log_x = np.log(x[symbol])
        decay = np.exp(-exponent * log_x)
        return offset + scale * decay, (np.ones_like(decay), decay, -scale * decay * log_x)

    return evaluate


STATE = power_law("state", "S", "FORMULAS section 5, State: at fixed N, D, T, one family at a time")
PARAMS = power_law("params", "N", "Kaplan et al. 2020 eq. 1.1; Henighan et al. 2020 eq. 1.1")
TOKENS = power_law("tokens", "D", "Kaplan et al. 2020 eq. 1.2; Henighan et al. 2020 eq. 1.1")
COMPUTE = power_law("compute", "C", "Henighan et al. 2020 eq. 1.1")
CONTEXT = power_law("context", "T", "FORMULAS section 5: the same form in the context length")
