"""Feed-forward sublayers by formula: plain and gated, and mixtures of experts.

plain   2 matrices of d_model x d_ff           gated   3 of them: W2 (act(W x) * V x) (Shazeer 2020)
experts a router of d_model x n_experts, n_experts feed-forwards of which a token uses top_k, and shared ones that
        every token uses. Active parameters leave n_experts - top_k of them out.
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import model_validator

from isostate.costs.sublayer import ACTIVATION_FLOPS, SOFTMAX_FLOPS, Linear, Run, Size, Sublayer, linear_operator
from isostate.quantities import Cost, Operator

Activation = Literal["gelu", "relu", "squared-relu", "swiglu", "geglu", "reglu"]
GATED = {"swiglu", "geglu", "reglu"}


class MLP(Sublayer):
    """Up, activation, down; a gated one has its two up-projections in one matrix."""

    kind: Literal["mlp"] = "mlp"
    d_ff: Size
    activation: Activation
    bias: bool = False

    part: ClassVar[str] = "mlp"

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        return _up_and_down("mlp", d_model, self.d_ff, self.activation, self.bias)

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        return [_activation("mlp.activation", self.d_ff, self.activation, run.n_tokens, run)]


class MoE(Sublayer):
    """Token choice: every token goes to `top_k` of `n_experts`, and to the shared experts, `shared_d_ff` wide together.

    `shared_gate`: a sigmoid of one projection scales the shared experts (Qwen2-MoE). `router_bias`: one number an
    expert is added to its score, to balance them (DeepSeek-V3).
    """

    kind: Literal["moe"] = "moe"
    n_experts: Size
    top_k: Size
    d_ff: Size  # of one expert
    activation: Activation
    bias: bool = False
    shared_d_ff: int = 0
    shared_gate: bool = False
    router_bias: bool = False

    part: ClassVar[str] = "experts"

    @model_validator(mode="after")
    def _experts_are_possible(self) -> Self:
        if self.top_k > self.n_experts:
            raise ValueError(f"top_k = {self.top_k}: at most n_experts = {self.n_experts}")
        if self.shared_d_ff < 0 or (self.shared_gate and not self.shared_d_ff):
            raise ValueError(f"shared_d_ff = {self.shared_d_ff}: a positive width, or 0 and no shared_gate")
        return self

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        """Those that every token goes through."""
        shared = _up_and_down("shared", d_model, self.shared_d_ff, self.activation, self.bias)
        gate = (Linear("shared.gate", d_model, 1),) if self.shared_gate else ()
        router = Linear("router", d_model, self.n_experts)
        return (router, *gate, *(shared if self.shared_d_ff else ()))

    def expert(self, d_model: int) -> tuple[Linear, ...]:
        return _up_and_down("experts", d_model, self.d_ff, self.activation, self.bias)

    def n_other_params(self, d_model: int) -> int:
        return self.n_experts if self.router_bias else 0

    def params(self, d_model: int) -> dict[str, int]:
        router, *shared = self.linears(d_model)
        experts = self.n_experts * sum(one.n_params for one in self.expert(d_model))
        return {
            "router": router.n_params + self.n_other_params(d_model),
            "experts": experts + sum(one.n_params for one in shared),
        }

    def inactive_params(self, d_model: int) -> int:
        return (self.n_experts - self.top_k) * sum(one.n_params for one in self.expert(d_model))

    def operators(self, d_model: int, run: Run) -> list[Operator]:
        rows, read = run.n_tokens * self.top_k, self.experts_read(run.n_tokens)
        return [
            *super().operators(d_model, run),
            *(linear_operator(one, rows, run, read) for one in self.expert(d_model)),
        ]

    def unsaved_linear(self, d_model: int) -> str | None:
        """Weights multiply what experts give, a gate what shared ones give; shared ones without a gate run last."""
        return "shared.down" if self.shared_d_ff and not self.shared_gate else None

    def experts_read(self, n_tokens: int) -> int:
        """Experts whose weights `n_tokens` read: those expected to be chosen at all, if all are equally likely."""
        return round(self.n_experts * (1 - (1 - self.top_k / self.n_experts) ** n_tokens))

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        rows = run.n_tokens * self.top_k
        routed = _activation("experts.activation", self.d_ff, self.activation, rows, run)
        chosen = Cost(0, run.n_tokens * SOFTMAX_FLOPS * self.n_experts + 2 * rows * d_model)
        operators = [routed, Operator("router.choice", chosen)]
        if self.shared_d_ff:
            operators.append(_activation("shared.activation", self.shared_d_ff, self.activation, run.n_tokens, run))
        return operators


def _up_and_down(name: str, d_model: int, d_ff: int, activation: str, bias: bool) -> tuple[Linear, ...]:
    halves = 2 if activation in GATED else 1
    return Linear(f"{name}.up", d_model, halves * d_ff, bias), Linear(f"{name}.down", d_ff, d_model, bias)


def _activation(name: str, d_ff: int, activation: str, n_rows: int, run: Run) -> Operator:
    gated = activation in GATED
    moved = run.activation_bytes(n_rows * d_ff * (3 if gated else 2))
    return Operator(name, Cost(0, n_rows * d_ff * (ACTIVATION_FLOPS + gated), moved))
