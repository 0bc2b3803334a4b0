"""A batch of fitting problems: one law, one objective and table, many rows of targets and weights.

Everything is evaluated in pieces small enough for their temporaries to stay in cache.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

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

    @cached_property
    def seen_Bn(self) -> Array:
        """The targets in the objective's own space."""
        return np.log(self.y_Bn) if self.objective.log else self.y_Bn

    def of(self, rows: NDArray[np.intp]) -> Problem:
        """The same problem for some of the rows."""
        y_Bn = self.y_Bn if len(self.y_Bn) == 1 else self.y_Bn[rows]
        w_Bn = self.w_Bn if len(self.w_Bn) == 1 else self.w_Bn[rows]
        free_BK = None if self.free_BK is None else self.free_BK[rows]
        return replace(self, y_Bn=y_Bn, w_Bn=w_Bn, free_BK=free_BK)

    def value(self, theta_BK: Array, row_B: NDArray[np.intp]) -> Array:
        """The objective (B,) at theta of the rows."""
        return self.equations(theta_BK, row_B)[0]

    @np.errstate(all="ignore")  # a wild start may overflow: its value is then infinite and the row gives up
    def equations(self, theta_BK: Array, row_B: NDArray[np.intp]) -> tuple[Array, Array, Array]:
        """Value (B,), gradient (B, K) and J' diag(slope / residual) J (B, K, K) at theta of the rows.

        The matrix is twice J'WJ for squares; for the rest it is the curvature of squares that touch the objective
        from above. J is the derivative of the residual by the search coordinates.
        """
        B, K = theta_BK.shape
        n, step = self.y_Bn.shape[1], self._rows_a_piece()
        value_B, gradient_BK, matrix_BKK = np.empty(B), np.empty((B, K)), np.empty((B, K, K))
        shown_BKn = np.empty((min(step, B), K, n))
        weighted_BKn = np.empty_like(shown_BKn)
        values_BK = self.law.natural(theta_BK)
        for start in range(0, B, step):
            part = slice(start, min(start + step, B))
            rows = part.stop - start
            self._piece(
                values_BK[part], row_B[part], shown_BKn[:rows], weighted_BKn[:rows],
                value_B[part], gradient_BK[part], matrix_BKK[part],
            )  # fmt: skip
        moves_BK = np.where([parameter.scale == "log" for parameter in self.law.parameters], values_BK, 1.0)
        if self.free_BK is not None:
            moves_BK = moves_BK * self.free_BK[row_B]
        gradient_BK *= moves_BK
        matrix_BKK *= moves_BK[:, :, None] * moves_BK[:, None, :]
        bad_B = ~(
            np.isfinite(value_B) & np.isfinite(gradient_BK).all(axis=1) & np.isfinite(matrix_BKK).all(axis=(1, 2))
        )
        value_B[bad_B], gradient_BK[bad_B], matrix_BKK[bad_B] = np.inf, 0.0, np.eye(K)
        return value_B, gradient_BK, matrix_BKK

    def _rows_a_piece(self) -> int:
        return max(1, min(1024, PIECE_BYTES // (8 * self.y_Bn.shape[1])))

    def _piece(
        self, values_BK: Array, row_B: NDArray[np.intp], shown_BKn: Array, weighted_BKn: Array, value_B: Array,
        gradient_BK: Array, matrix_BKK: Array,
    ) -> None:  # fmt: skip
        """Fills value, gradient and matrix by the parameters in natural units; the first two arrays are room to work.

        The slope of the residual by the prediction, 1 / prediction in logs, is left to the weights.
        """
        seen_Bn = self.seen_Bn if len(self.seen_Bn) == 1 else self.seen_Bn[row_B]
        w_Bn = self.w_Bn if len(self.w_Bn) == 1 else self.w_Bn[row_B]
        predicted_Bn, partials = self.law.evaluate(list(values_BK.T[:, :, None]), self.x)
        predicted_Bn = np.broadcast_to(predicted_Bn, (len(values_BK), seen_Bn.shape[1]))
        r_Bn = (np.log(predicted_Bn) if self.objective.log else predicted_Bn) - seen_Bn
        value_B[:], slope_Bn = self.objective.evaluate(r_Bn, w_Bn)
        curvature_Bn = np.divide(slope_Bn, r_Bn, out=np.zeros_like(r_Bn), where=r_Bn != 0)
        if self.objective.log:
            slope_Bn = slope_Bn / predicted_Bn
            curvature_Bn /= predicted_Bn
            curvature_Bn /= predicted_Bn
        for k, partial in enumerate(partials):
            shown_BKn[:, k] = partial
        np.multiply(shown_BKn, curvature_Bn[:, None, :], out=weighted_BKn)
        gradient_BK[:] = np.matmul(shown_BKn, slope_Bn[:, :, None])[:, :, 0]
        np.matmul(weighted_BKn, shown_BKn.transpose(0, 2, 1), out=matrix_BKK)

    def information(self, theta_K: Array) -> tuple[float, Array]:
        """Weighted residual sum of squares and J'WJ (K, K) at one theta of the first row, whatever the objective."""
        predicted_1n, jacobian_1Kn = self.law.jacobian(theta_K[None], self.x)
        predicted_n, slope_Kn, y_n = predicted_1n[0], jacobian_1Kn[0], self.y_Bn[0]
        r_n = predicted_n - y_n
        if self.objective.log:
            slope_Kn, r_n = slope_Kn / predicted_n, np.log(predicted_n) - np.log(y_n)
        w_n = np.broadcast_to(self.w_Bn[0], y_n.shape)
        return float(r_n @ (w_n * r_n)), (slope_Kn * w_n) @ slope_Kn.T
