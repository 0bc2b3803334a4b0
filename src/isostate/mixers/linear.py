"""Linear attention (Katharopoulos et al. 2020), "head-varied": at a fixed width, fewer heads hold more state.

    S_t = g_t S_{t-1} + phi(k_t) v_t^T,    y_t = phi(q_t)^T S_t / (phi(q_t) . z_t),    phi = softplus or elu + 1

Its state is W^2 / h elements a layer, at most W^2: GPT-2 XL with one head holds 48 x 1600^2 = 122,880,000.

When to use it: where a long past must fit a small state, and reading it blurred will do; its step is the cheapest of
the matrix states. Give it a gate or a decay, else what it holds only piles up.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator
from torch import Tensor
from torch.nn.functional import elu, softplus

from isostate.mixers.feature_maps import PolynomialMap, linear_map
from isostate.mixers.linear_family import LinearFamilyConfig, LinearFamilyMixer


class LinearConfig(LinearFamilyConfig):
    """`phi` acts on every element of queries and keys; the number of heads sets the state."""

    kind: Literal["linear"] = "linear"
    phi: Literal["softplus", "elu+1", "identity"] = "softplus"

    knob: ClassVar[str | None] = "n_heads"

    @model_validator(mode="after")
    def _map_and_positions_agree(self) -> Self:
        if self.phi == "identity" and self.normaliser == "sum":
            raise ValueError(
                'phi = "identity" makes weights of both signs, so their sum may be 0: set normaliser = "none"'
            )
        if self.phi != "identity" and self.positions == "rotary":
            raise ValueError(
                f'positions = "rotary": {self.phi} after a rotation forgets relative positions; use "alibi" or "none"'
            )
        return self

    @property
    def family(self) -> str:
        return "linear" + ("" if self.phi == "softplus" else f"-{self.phi}") + self.suffix

    @property
    def feature_map(self) -> PolynomialMap:
        return linear_map(self.head_dim)

    @property
    def maps_elements(self) -> bool:
        return self.phi != "identity"

    def knob_values(self, context: int) -> list[int]:
        return [self.d_model // head_dim for head_dim in super().knob_values(context)]


class LinearMixer(LinearFamilyMixer):
    """The engine with the identity map, after an elementwise phi."""

    config: LinearConfig

    def before_map(self, x_BHTK: Tensor) -> Tensor:
        if self.config.phi == "softplus":
            return softplus(x_BHTK)
        return elu(x_BHTK) + 1 if self.config.phi == "elu+1" else x_BHTK
