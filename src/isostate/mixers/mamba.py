"""Mamba (Gu and Dao 2023, section 3): the selective scan, a state of R numbers a channel that chooses what to keep.

    x, z = W u        x = silu(convolution(x))        d, B, C = W'' x        dt = softplus(W''' d + b)
    h_t = exp(-dt_t exp(A_log)) h_{t-1} + dt_t B_t x_t        y_t = C_t . h_t + D x_t        out = W' (y silu(z))

FORMULAS section 1.3; the scan is `scan.py`, in its three forms. The state is I R elements, I = expand * d_model, and
the last W - 1 inputs of the convolution; published code keeps W of them, of which the oldest is never read.
Parameters have the names and shapes of Hugging Face's `MambaMixer`.

When to use it: where each channel should decide by itself, token by token, what to keep, in a state far below a matrix
state's; it has no matrix products inside the scan, so wide states are slow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from isostate.mixers.contract import Causal, Form, Mixer, MixerConfig, Shapes, State, check_form, linear_shapes
from isostate.mixers.convolution import convolve, remembered
from isostate.mixers.documents import Documents
from isostate.mixers.mamba2 import first_step_bias
from isostate.mixers.projections import projection
from isostate.mixers.scan import FORMS
from isostate.quantities import Cost, StateSize

LARGEST_STATE = 1024  # states of a channel that `knob_values` goes up to
# FLOPs an element of the state and token: dt A, its exp, decay times state, u B, their sum, C times state, its sum.
SCAN_FLOPS = 7


class MambaConfig(MixerConfig):
    """`d_state` (R) sets the state; `dt_rank`, left out, is d_model / 16, rounded up."""

    kind: Literal["mamba"] = "mamba"
    expand: int = 2
    d_state: int = 16
    dt_rank: int | None = None
    conv_taps: int = 4
    conv_bias: bool = True

    knob: ClassVar[str | None] = "d_state"

    @model_validator(mode="after")
    def _sizes_are_possible(self) -> Self:
        for name, least in (("expand", 1), ("d_state", 1), ("conv_taps", 2), ("rank", 1)):
            if getattr(self, name) < least:
                name, value = name.replace("rank", "dt_rank"), getattr(self, name)
                raise ValueError(f"{name} = {value}: must be at least {least}")
        return self

    @property
    def family(self) -> str:
        return "mamba" if self.expand == 2 else f"mamba-{self.expand}x"

    def knob_values(self, context: int) -> Sequence[int]:
        return range(1, LARGEST_STATE + 1)

    @property
    def inner(self) -> int:
        """Channels of x, z and y."""
        return self.expand * self.d_model

    @property
    def rank(self) -> int:
        """Elements that the step sizes of all channels are made of."""
        return -(-self.d_model // 16) if self.dt_rank is None else self.dt_rank

    @property
    def selected(self) -> list[int]:
        """Elements of d, B and C."""
        return [self.rank, self.d_state, self.d_state]

    def state_size(self, context: int) -> StateSize:
        return StateSize({"matrix": self.inner * self.d_state, "convolution": self.inner * (self.conv_taps - 1)})

    def parameter_shapes(self) -> Shapes:
        inner, states = self.inner, self.d_state
        taps: Shapes = {"conv1d.weight": (inner, 1, self.conv_taps)} | (
            {"conv1d.bias": (inner,)} if self.conv_bias else {}
        )
        into = linear_shapes("in_proj", self.d_model, 2 * inner, self.bias != "none")
        steps = linear_shapes("dt_proj", self.rank, inner, True)
        out = linear_shapes("out_proj", inner, self.d_model, self.bias == "all")
        return (
            {"A_log": (inner, states), "D": (inner,)}
            | into
            | taps
            | {"x_proj.weight": (sum(self.selected), inner)}
            | steps
            | out
        )

    def projection_cost(self, n_tokens: int) -> Cost:
        """Four projections, the convolution, activations at 5 FLOPs, the gate. Bytes: float32, once."""
        inner, wide = self.inner, sum(self.selected)
        weights = self.d_model * 3 * inner + inner * wide + self.rank * inner
        other = inner * (2 * self.conv_taps + 3 * 5 + 1)
        moved = weights + n_tokens * (2 * self.d_model + 2 * wide + 8 * inner)
        return Cost(2 * n_tokens * weights, n_tokens * other, 4 * moved)

    def cost(self, batch: int, context: int, form: Form = "chunked", causal: Causal = "whole") -> Cost:
        """The scan multiplies no matrices. The chunked form does not write its states."""
        n_tokens, states = batch * context, self.inner * self.d_state
        rows = 4 * self.inner + 2 * self.d_state
        moved = rows if form == "chunked" else rows + 2 * states
        scan = Cost(0, n_tokens * (SCAN_FLOPS * states + 2 * self.inner), 4 * n_tokens * moved)
        return self.projection_cost(n_tokens) + scan


@dataclass(frozen=True)
class MambaState(State):
    """h of every channel, and the last W - 1 inputs of the convolution, oldest first."""

    matrix_BIR: Tensor
    past_BWI: Tensor
    position: int | Tensor = 0


class MambaMixer(Mixer):
    """Projections, the convolution and the gate around the scan's three forms."""

    config: MambaConfig
    own: ClassVar[frozenset[str]] = frozenset({"A_log", "D", "dt_proj.bias", "conv1d.weight", "conv1d.bias"})

    def __init__(self, config: MambaConfig) -> None:
        super().__init__()
        self.config = config
        inner, taps = config.inner, config.conv_taps
        states_R = torch.arange(1, config.d_state + 1, dtype=torch.get_default_dtype())
        self.A_log = nn.Parameter(states_R.log().repeat(inner, 1))  # S4D-Real: A = -1, -2, ..
        self.D = nn.Parameter(torch.ones(inner))
        self.in_proj = projection(config.d_model, 2 * inner, bias=config.bias != "none")
        self.conv1d = nn.Conv1d(inner, inner, taps, groups=inner, bias=config.conv_bias)  # holds what `convolve` runs
        self.x_proj = projection(inner, sum(config.selected), bias=False)
        self.dt_proj = projection(config.rank, inner, bias=True)
        self.out_proj = projection(inner, config.d_model, bias=config.bias == "all")
        with torch.no_grad():
            self.dt_proj.bias.copy_(first_step_bias((torch.arange(inner) + 0.5) / inner))

    def start_own(self, generator: torch.Generator) -> None:
        """Steps at random within their range; taps as torch draws them."""
        bound = self.config.conv_taps**-0.5
        for parameter in self.conv1d.parameters():
            parameter.uniform_(-bound, bound, generator=generator)
        self.dt_proj.bias.copy_(first_step_bias(torch.rand(self.config.inner, generator=generator)))

    def init_state(self, batch: int) -> MambaState:
        config, like = self.config, self.out_proj.weight
        matrix_BIR = like.new_zeros(batch, config.inner, config.d_state)
        return MambaState(matrix_BIR, like.new_zeros(batch, config.conv_taps - 1, config.inner))

    def forward(
        self, x_BTD: Tensor, state: Any = None, form: Form = "chunked", documents: Documents | None = None
    ) -> tuple[Tensor, Any]:
        check_form(form)
        config = self.config
        state = self.init_state(x_BTD.shape[0]) if state is None else state
        inner_BTI, z_BTI = self.in_proj(x_BTD).split([config.inner, config.inner], dim=-1)
        past_BSI = torch.cat([state.past_BWI, inner_BTI], dim=1)
        inner_BTI = silu(convolve(past_BSI, self.conv1d.weight.squeeze(1).T.contiguous(), self.conv1d.bias, documents))
        d_BTR, B_BTR, C_BTR = self.x_proj(inner_BTI).split(config.selected, dim=-1)
        dt_BTI = softplus(self.dt_proj(d_BTR))
        dt_BTI, starts_BT = (dt_BTI, None) if documents is None else (documents.cleared(dt_BTI), documents.starts_BT)
        y_BTI, matrix_BIR = FORMS[form](
            inner_BTI, dt_BTI, -self.A_log.exp(), B_BTR, C_BTR, self.D, state.matrix_BIR, starts_BT
        )
        y_BTD = self.out_proj(y_BTI * silu(z_BTI))
        past_BWI = remembered(past_BSI, config.conv_taps, documents)
        if documents is None:
            return y_BTD, MambaState(matrix_BIR, past_BWI, state.position + x_BTD.shape[1])
        return documents.cleared(y_BTD), MambaState(matrix_BIR, past_BWI, documents.position_after(state.position))
