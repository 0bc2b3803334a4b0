"""What one sublayer of a block counts: its linears, the vectors beside them, its state, and what runs besides.

A sublayer (attention, a state-space layer, a feed-forward) is described by a frozen config that counts itself by
formula, without torch. 1 multiply-accumulate = 2 FLOPs; matmul and other FLOPs apart; other FLOPs are estimates, by the
constants below. A linear costs 2 rows d_in d_out, its bias one other FLOP an output (FORMULAS section 2).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NamedTuple

from pydantic import Field

from isostate.config import Config
from isostate.quantities import Cost, Operator

Size = Annotated[int, Field(ge=1)]
Phase = Literal["prefill", "decode"]

# Other FLOPs an element, as in costs/model.py: of what is normalised, activated, rotated, or put through a softmax.
NORM_FLOPS, ACTIVATION_FLOPS, ROTARY_FLOPS, SOFTMAX_FLOPS = 4, 5, 3, 5


class Linear(NamedTuple):
    """A matrix that multiplies rows: every new token's, unless its sublayer says otherwise."""

    name: str
    d_in: int
    d_out: int
    bias: bool = False

    @property
    def n_weights(self) -> int:
        return self.d_in * self.d_out

    @property
    def n_params(self) -> int:
        return self.n_weights + (self.d_out if self.bias else 0)


@dataclass(frozen=True)
class Run:
    """What a model is given: `batch` sequences of `context` tokens (prefill), or one new token each (decode).

    In decode `context` counts the new token. `causal_halving` leaves out the pairs of query and key that a causal mask
    hides. Bits an element are those of the weights, of the activations, and of the state that a sequence carries.
    """

    batch: int
    context: int
    phase: Phase = "prefill"
    causal_halving: bool = False
    weight_bits: int = 16
    activation_bits: int = 16
    state_bits: int = 16

    @property
    def n_tokens(self) -> int:
        return self.batch * (self.context if self.phase == "prefill" else 1)

    def n_pairs(self, window: int | None = None, causal: bool = True) -> int:
        """Pairs of query and key of one sequence and head; a window alone leaves its far keys out in any case."""
        seen = self.context if window is None else min(window, self.context)
        if self.phase == "decode":
            return seen
        if causal and self.causal_halving:
            return seen * (seen + 1) // 2 + (self.context - seen) * seen
        return self.context * seen

    def weight_bytes(self, n_elements: int) -> int:
        return -(-n_elements * self.weight_bits // 8)

    def activation_bytes(self, n_elements: int) -> int:
        return -(-n_elements * self.activation_bits // 8)

    def state_bytes(self, n_elements: int) -> int:
        return -(-n_elements * self.state_bits // 8)


class Sublayer(Config, ABC):
    """Abstract: one residual branch of a block. Subclasses add `kind` and their sizes."""

    part: ClassVar[str]  # where its parameters are listed: attention, ssm, mlp
    state_formula: ClassVar[str] = ""  # FLOPs of one decoded token on the state of a layer, S tokens in it

    @abstractmethod
    def linears(self, d_model: int) -> tuple[Linear, ...]:
        """Its matrices in the order they run, the last one writes to the residual stream."""

    def n_other_params(self, d_model: int) -> int:
        """Parameters outside the linears: inner norms, decays, taps, mixing weights."""
        return 0

    def params(self, d_model: int) -> dict[str, int]:
        """Parameters by part."""
        return {self.part: sum(one.n_params for one in self.linears(d_model)) + self.n_other_params(d_model)}

    def inactive_params(self, d_model: int) -> int:
        """Those of `params` that one token does not use."""
        return 0

    def state_parts(self, d_model: int, context: int) -> dict[str, int]:
        """Elements that one sequence carries, by part."""
        return {}

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        """What runs besides the linears."""
        return []

    def constant_inputs(self, d_model: int, run: Run) -> int:
        """Matmul FLOPs of linears whose input wants no gradient: their backward costs them once, not twice."""
        return 0

    def unsaved_linear(self, d_model: int) -> str | None:
        """The last linear, whose result the sublayer's backward does not need; None where something behind it does."""
        return self.linears(d_model)[-1].name

    def operators(self, d_model: int, run: Run) -> list[Operator]:
        """All that runs, and last the reading of parameters that no linear reads."""
        linears = [linear_operator(one, run.n_tokens, run) for one in self.linears(d_model)]
        return [*linears, *self.mixing(d_model, run), *self.vectors(d_model, run)]

    def vectors(self, d_model: int, run: Run) -> list[Operator]:
        """The reading of `n_other_params`; their FLOPs stand where they are used."""
        read = run.weight_bytes(self.n_other_params(d_model))
        return [Operator("vectors", Cost(moved_bytes=read), weight_bytes=read)] if read else []

    def state_flops(self, d_model: int, run: Run) -> int:
        """FLOPs on the state in `run`: products with it, or where it is updated element by element all of them."""
        on_state = [one.cost for one in self.mixing(d_model, run) if one.state_bytes]
        return sum(cost.matmul_flops or cost.other_flops for cost in on_state)


def linear_operator(linear: Linear, n_rows: int, run: Run, n_copies: int = 1) -> Operator:
    """`n_rows` rows through one matrix, or spread over `n_copies` of its shape; weights are read once."""
    weight_bytes = run.weight_bytes(n_copies * linear.n_params)
    moved = weight_bytes + run.activation_bytes(n_rows * (linear.d_in + linear.d_out))
    cost = Cost(2 * n_rows * linear.n_weights, n_rows * linear.d_out if linear.bias else 0, moved)
    return Operator(linear.name, cost, weight_bytes=weight_bytes)
