"""Power attention, or symmetric power (Buckman, Gelada and Zhang 2024): softmax's exponential becomes x^p.

    f(q, k) = (q . k / sqrt(K))^p,    P = C(K + p - 1, p)

Degree and head size set the state at a fixed number of parameters. An even degree keeps every weight positive.

When to use it: where state should be chosen apart from width and parameters: degree and head size span five decades.
Give it a gate; ungated it falls behind softmax as the context grows.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from isostate.mixers.feature_maps import PolynomialMap, power_map
from isostate.mixers.linear_family import LinearFamilyConfig, LinearFamilyMixer


class PowerConfig(LinearFamilyConfig):
    """`degree` is p; the head size sets the state."""

    kind: Literal["power"] = "power"
    degree: int = 2

    @model_validator(mode="after")
    def _degree_suits_normaliser(self) -> Self:
        if not 1 <= self.degree <= 8:
            raise ValueError(f"degree = {self.degree}: must be 1 to 8 (the state grows as head_dim^degree)")
        if self.degree % 2 and self.normaliser == "sum":
            raise ValueError(
                f"degree = {self.degree}: an odd power makes negative weights, whose sum may be 0; "
                'take an even degree, or set normaliser = "none"'
            )
        return self

    @property
    def family(self) -> str:
        return f"power-{self.degree}{self.suffix}"

    @property
    def feature_map(self) -> PolynomialMap:
        return power_map(self.degree, self.head_dim)


class PowerMixer(LinearFamilyMixer):
    """The engine with the power map."""
