"""A batch of fitting problems: one law, one objective and table, many rows of targets and weights.

Values and gradients are evaluated in pieces small enough for their temporaries to stay in cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isostate.laws.law import Array, Inputs, Law
from isostate.laws.objectives import Objective

# Of one temporary: above 128 KB glibc maps fresh pages each time, and an evaluation takes thrice as long.
PIECE_BYTES = 120_000


@dataclass(frozen=True)
class Problem:
    """Rows of weighted data for one law and objective; y and w are (1, n) for all rows or (rows, n)."""

    law: Law
    objective: Objective
    x: Inputs
    y_Bn: Array
    w_Bn: Array
    free_BK: Array | None = None  # 1 where a parameter may move, 0 where a profile holds it

    def of(self, rows: NDArray[np.intp]) -> Problem:
        """The same problem for some of the rows."""
        y_Bn = self.y_Bn if len(self.y_Bn) == 1 else self.y_Bn[rows]
        w_Bn = self.w_Bn if len(self.w_Bn) == 1 else self.w_Bn[rows]
        free_BK = None if self.free_BK is None else self.free_BK[rows]
        return replace(self, y_Bn=y_Bn, w_Bn=w_Bn, free_BK=free_BK)

    @np.errstate(all="ignore")  # a wild start may overflow: its value is then infinite and the row gives up
    def gradient(self, theta_BK: Array, row_B: NDArray[np.intp]) -> tuple[Array, Array]:
        """Value (B,) and gradient (B, K) at theta of the rows."""
        value_B, gradient_BK = np.empty(len(theta_BK)), np.empty(theta_BK.shape)
        for part in self._pieces(len(theta_BK)):
            value_B[part], gradient_BK[part] = self._piece(theta_BK[part], row_B[part])
        bad_B = ~(np.isfinite(value_B) & np.isfinite(gradient_BK).all(axis=1))
        value_B[bad_B], gradient_BK[bad_B] = np.inf, 0.0
        if self.free_BK is not None:
            gradient_BK *= self.free_BK[row_B]
        return value_B, gradient_BK

    def _pieces(self, rows: int) -> list[slice]:
        """Rows evaluated together: few enough for their temporaries to stay in cache."""
        step = max(1, min(1024, PIECE_BYTES // (8 * self.y_Bn.shape[1])))
        return [slice(start, start + step) for start in range(0, rows, step)]

    def _piece(self, theta_BK: Array, row_B: NDArray[np.intp]) -> tuple[Array, Array]:
        r_Bn, slope_Bn, w_Bn, columns, partials = self._residual(theta_BK, row_B)
        value_B, psi_Bn = self.objective.evaluate(r_Bn, w_Bn)
        psi_Bn = psi_Bn * slope_Bn
        gradient_BK = np.empty(theta_BK.shape)
        for k, (parameter, partial) in enumerate(zip(self.law.parameters, partials, strict=True)):
            partial_Bn = np.broadcast_to(partial, psi_Bn.shape)
            gradient_BK[:, k] = np.einsum("bn,bn->b", psi_Bn, partial_Bn)
            if parameter.scale == "log":
                gradient_BK[:, k] *= columns[k][:, 0]
        return value_B, gradient_BK

    def _residual(
        self, theta_BK: Array, row_B: NDArray[np.intp]
    ) -> tuple[Array, Array, Array, list[Array], Sequence[Array]]:
        """Residual (B, n), its slope by the prediction, weights, parameters as columns, partial derivatives."""
        columns = list(self.law.natural(theta_BK).T[:, :, None])
        y_Bn = self.y_Bn if len(self.y_Bn) == 1 else self.y_Bn[row_B]
        w_Bn = self.w_Bn if len(self.w_Bn) == 1 else self.w_Bn[row_B]
        value_Bn, partials = self.law.evaluate(columns, self.x)
        value_Bn = np.broadcast_to(value_Bn, (len(theta_BK), y_Bn.shape[1]))
        if self.objective.log:
            return np.log(value_Bn) - np.log(y_Bn), 1.0 / value_Bn, w_Bn, columns, partials
        return value_Bn - y_Bn, np.ones((1, 1)), w_Bn, columns, partials

    @np.errstate(all="ignore")
    def normal_equations(self, theta_BK: Array, row_B: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        """Value, half gradient J'Wr (B, K) and J'WJ (B, K, K) of a sum of squares."""
        K = theta_BK.shape[1]
        value_B, half_BK, matrix_BKK = (
            np.empty(len(theta_BK)),
            np.empty(theta_BK.shape),
            np.empty((len(theta_BK), K, K)),
        )
        for part in self._pieces(len(theta_BK)):
            r_Bn, slope_Bn, w_Bn, columns, partials = self._residual(theta_BK[part], row_B[part])
            jacobian_BKn = np.empty((len(r_Bn), K, r_Bn.shape[1]))
            for k, (parameter, partial) in enumerate(zip(self.law.parameters, partials, strict=True)):
                jacobian_BKn[:, k] = partial * slope_Bn * (columns[k] if parameter.scale == "log" else 1.0)
            weighted_BKn = jacobian_BKn * np.broadcast_to(w_Bn, r_Bn.shape)[:, None, :]
            value_B[part] = np.einsum("bn,bn->b", r_Bn, r_Bn * w_Bn)
            half_BK[part] = np.einsum("bkn,bn->bk", weighted_BKn, r_Bn)
            matrix_BKK[part] = weighted_BKn @ jacobian_BKn.transpose(0, 2, 1)
        bad_B = ~(np.isfinite(value_B) & np.isfinite(matrix_BKK).all(axis=(1, 2)))
        value_B[bad_B], half_BK[bad_B], matrix_BKK[bad_B] = np.inf, 0.0, np.eye(K)
        if self.free_BK is not None:
            free_BK = self.free_BK[row_B]
            half_BK *= free_BK
            matrix_BKK *= free_BK[:, :, None] * free_BK[:, None, :]
        return value_B, half_BK, matrix_BKK
