"""Taylor attention: the exponential of softmax cut off after its n-th power (Zhang et al. 2024, Based; order 2).

    f(q, k) = sum_{i<=n} (q . k / sqrt(K))^i / i!,    P = C(K + n, n)

An even order keeps every weight positive. The note's expansion has 2/k!, a mistake.

When to use it: where linear attention's state is too small: small heads under order 2 hold many times more at the same
parameters, and weights are near softmax's while scores are small. With a small window in the next layer it is Based.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from isostate.mixers.feature_maps import PolynomialMap, taylor_map
from isostate.mixers.linear_family import LinearFamilyConfig, LinearFamilyMixer


class TaylorConfig(LinearFamilyConfig):
    """`order` is n; the head size sets the state."""

    kind: Literal["taylor"] = "taylor"
    order: int = 2

    @model_validator(mode="after")
    def _order_suits_normaliser(self) -> Self:
        if not 1 <= self.order <= 8:
            raise ValueError(f"order = {self.order}: must be 1 to 8 (the state grows as head_dim^order)")
        if self.order % 2 and self.normaliser == "sum":
            raise ValueError(
                f"order = {self.order}: an odd order makes negative weights, whose sum may be 0; "
                'take an even order, or set normaliser = "none"'
            )
        return self

    @property
    def family(self) -> str:
        return f"taylor-{self.order}{self.suffix}"

    @property
    def feature_map(self) -> PolynomialMap:
        return taylor_map(self.order, self.head_dim)


class TaylorMixer(LinearFamilyMixer):
    """The engine with the Taylor map."""
