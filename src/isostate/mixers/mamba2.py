"""Mamba-2, the state-space dual (Dao and Gu 2024, section 7): the gated linear recurrence with a step size a head.

    z, (x, B, C), d = W u        (x, B, C) = silu(convolution(x, B, C))        step = softplus(d + bias)
    S_t = exp(-step_t exp(A_log)) S_{t-1} + B_t (step_t x_t)^T        y_t = C_t^T S_t + D x_t
    out = W' norm(y silu(z))

It is the engine of `recurrence.py` with q = C, k = B, v = step x, and no division. Heads of a group share B and C, so
the state is H R V elements however many groups there are (FORMULAS section 1.3), and W - 1 inputs of the convolution.
Parameters have the names and shapes of Hugging Face's `Mamba2Mixer`.

When to use it: as the default recurrent layer: linear attention's state with a step size and a decay learnt a head, run
by matrix products, so that a large state stays fast.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.functional import silu, softplus

from isostate.mixers import engine_kernel
from isostate.mixers.contract import Causal, Form, Mixer, MixerConfig, Shapes, State, check_form, linear_shapes
from isostate.mixers.convolution import convolve, remembered
from isostate.mixers.documents import Documents
from isostate.mixers.feature_maps import PolynomialMap, linear_map
from isostate.mixers.linear_family import FORMS, engine_cost
from isostate.mixers.normalisation import rms_norm
from isostate.mixers.projections import projection
from isostate.mixers.recurrence import MatrixState
from isostate.quantities import Cost, StateSize

FIRST_DECAYS = (1.0, 16.0)  # exp(A_log) of a fresh head lies between (Dao and Gu's code)
FIRST_STEPS = (1e-3, 0.1)  # so does its step, evenly in the logarithm
LARGEST_STATE = 1024  # rows that `knob_values` goes up to


class Mamba2Config(MixerConfig):
    """`n_heads * head_dim = expand * d_model`; heads default to 4. `d_state` (R) sets the state."""

    kind: Literal["mamba2"] = "mamba2"
    expand: int = 2
    n_heads: int
    head_dim: int
    d_state: int = 128
    n_groups: int = 1
    conv_taps: int = 4
    conv_bias: bool = True
    step_limits: tuple[float, float] | None = None  # steps beyond are cut off
    norm_eps: float = 1e-5
    chunk: int | None = None  # positions in a chunk of the chunked form; None: the engine's rule

    knob: ClassVar[str | None] = "d_state"

    @model_validator(mode="before")
    @classmethod
    def _fill_heads(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        values, inner = dict(values), values.get("d_model")
        inner = inner * values.get("expand", 2) if isinstance(inner, int) else None
        if values.get("n_heads") is None and values.get("head_dim") is None:
            values["n_heads"] = 4
        for name, other in (("n_heads", "head_dim"), ("head_dim", "n_heads")):
            given = values.get(name)
            if isinstance(given, int) and inner is not None and values.get(other) is None:
                if given < 1 or inner % given:
                    raise ValueError(f"{name} = {given}: must divide expand * d_model = {inner}")
                values[other] = inner // given
        return values

    @model_validator(mode="after")
    def _sizes_are_possible(self) -> Self:
        for name, least in (("expand", 1), ("n_heads", 1), ("d_state", 1), ("n_groups", 1), ("conv_taps", 2)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least {least}")
        if self.n_heads * self.head_dim != self.expand * self.d_model:
            raise ValueError(
                f"n_heads = {self.n_heads}, head_dim = {self.head_dim}: their product must be "
                f"expand * d_model = {self.expand * self.d_model}; leave out one of them"
            )
        if self.n_heads % self.n_groups:
            raise ValueError(f"n_groups = {self.n_groups}: must divide n_heads = {self.n_heads}")
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk = {self.chunk}: must be at least 1; leave it out for the engine's own choice")
        low, high = self.step_limits or (0.0, 1.0)
        if not 0 <= low < high < math.inf:
            raise ValueError(
                f"step_limits = {[low, high]}: must be two steps, 0 <= smallest < largest; or leave it out"
            )
        return self

    @property
    def family(self) -> str:
        return "mamba2" if self.n_groups == 1 else f"mamba2-{self.n_groups}g"

    def knob_values(self, context: int) -> Sequence[int]:
        return range(1, LARGEST_STATE + 1)

    @property
    def inner(self) -> int:
        """Elements of x, of z and of y."""
        return self.n_heads * self.head_dim

    @property
    def convolved(self) -> int:
        """Elements of x, B and C."""
        return self.inner + 2 * self.n_groups * self.d_state

    @property
    def feature_map(self) -> PolynomialMap:
        return linear_map(self.d_state)

    def state_size(self, context: int) -> StateSize:
        return StateSize({"matrix": self.inner * self.d_state, "convolution": (self.conv_taps - 1) * self.convolved})

    def parameter_shapes(self) -> Shapes:
        heads = dict.fromkeys(("dt_bias", "A_log", "D"), (self.n_heads,))
        into = linear_shapes("in_proj", self.d_model, self.inner + self.convolved + self.n_heads, self.bias != "none")
        taps: Shapes = {"conv1d.weight": (self.convolved, 1, self.conv_taps)}
        taps |= {"conv1d.bias": (self.convolved,)} if self.conv_bias else {}
        out = linear_shapes("out_proj", self.inner, self.d_model, self.bias == "all")
        return heads | into | taps | {"norm.weight": (self.inner,)} | out

    def projection_cost(self, n_tokens: int) -> Cost:
        """Both projections, the convolution, activations at 5 FLOPs, the gated norm at 6. Bytes: float32, once."""
        wide = self.inner + self.convolved + self.n_heads
        weights = self.d_model * (wide + self.inner)
        other = (2 * self.conv_taps + 5) * self.convolved + (2 + 5 + 6 + 3) * self.inner + 8 * self.n_heads
        moved = weights + n_tokens * (2 * self.d_model + 2 * wide + 3 * self.inner)
        return Cost(2 * n_tokens * weights, n_tokens * other, 4 * moved)

    def cost(self, batch: int, context: int, form: Form = "chunked", causal: Causal = "whole") -> Cost:
        scan = engine_cost(self.feature_map, self.head_dim, batch * self.n_heads, context, form, causal, self.chunk)
        return self.projection_cost(batch * context) + scan


@dataclass(frozen=True)
class Mamba2State(State):
    """S of every head, and the last W - 1 inputs of the convolution, oldest first."""

    matrix_BHPV: Tensor
    past_BWD: Tensor
    position: int | Tensor = 0


class GatedNorm(nn.Module):
    """gain y silu(z) / rms(y silu(z)), the root mean square taken over each group's heads."""

    def __init__(self, width: int, n_groups: int, eps: float) -> None:
        super().__init__()
        self.n_groups, self.eps = n_groups, eps
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, y_BTD: Tensor, z_BTD: Tensor) -> Tensor:
        gated_BTGD = (y_BTD * silu(z_BTD)).unflatten(-1, (self.n_groups, -1))
        return rms_norm(gated_BTGD, self.weight.unflatten(0, (self.n_groups, -1)), self.eps).flatten(-2)


class Mamba2Mixer(Mixer):
    """Projections, the convolution and the gated norm around the engine's three forms."""

    config: Mamba2Config
    own: ClassVar[frozenset[str]] = frozenset({"dt_bias", "A_log", "D", "conv1d.weight", "conv1d.bias"})

    def __init__(self, config: Mamba2Config) -> None:
        super().__init__()
        self.config = config
        share_H = (torch.arange(config.n_heads) + 0.5) / config.n_heads
        self.dt_bias = nn.Parameter(first_step_bias(share_H))
        self.A_log = nn.Parameter(first_decay(share_H))
        self.D = nn.Parameter(torch.ones(config.n_heads))
        wide = config.inner + config.convolved + config.n_heads
        self.in_proj = projection(config.d_model, wide, bias=config.bias != "none")
        E, W = config.convolved, config.conv_taps
        self.conv1d = nn.Conv1d(E, E, W, groups=E, bias=config.conv_bias)  # holds the taps; `convolve` runs them
        self.norm = GatedNorm(config.inner, config.n_groups, config.norm_eps)
        self.out_proj = projection(config.inner, config.d_model, bias=config.bias == "all")

    def start_own(self, generator: torch.Generator) -> None:
        """Steps and decays at random within their ranges; taps as torch draws them."""
        n_heads, bound = self.config.n_heads, self.config.conv_taps**-0.5
        self.dt_bias.copy_(first_step_bias(torch.rand(n_heads, generator=generator)))
        self.A_log.copy_(first_decay(torch.rand(n_heads, generator=generator)))
        for parameter in self.conv1d.parameters():
            parameter.uniform_(-bound, bound, generator=generator)

    def init_state(self, batch: int) -> Mamba2State:
        config, like = self.config, self.out_proj.weight
        matrix_BHPV = like.new_zeros(batch, config.n_heads, config.d_state, config.head_dim)
        return Mamba2State(matrix_BHPV, like.new_zeros(batch, config.conv_taps - 1, config.convolved))

    def forward(
        self, x_BTD: Tensor, state: Any = None, form: Form = "chunked", documents: Documents | None = None
    ) -> tuple[Tensor, Any]:
        check_form(form)
        config = self.config
        state = self.init_state(x_BTD.shape[0]) if state is None else state
        widths = [config.inner, config.convolved, config.n_heads]
        z_BTD, convolved_BTD, step_BTH = self.in_proj(x_BTD).split(widths, dim=-1)
        past_BSD = torch.cat([state.past_BWD, convolved_BTD], dim=1)
        convolved_BTD = silu(
            convolve(past_BSD, self.conv1d.weight.squeeze(1).T.contiguous(), self.conv1d.bias, documents)
        )
        keys = config.n_groups * config.d_state
        v_BTHV, k_BTGK, q_BTGK = convolved_BTD.split([config.inner, keys, keys], dim=-1)
        v_BTHV = v_BTHV.unflatten(-1, (config.n_heads, config.head_dim))
        step_BTH = self.step(step_BTH)
        step_BTH = step_BTH if documents is None else documents.cleared(step_BTH)
        y_BHTV, scanned = FORMS[form](
            self.by_head(q_BTGK, form),
            self.by_head(k_BTGK, form),
            (v_BTHV * step_BTH.unsqueeze(-1)).transpose(1, 2),
            self.log_gate(step_BTH, documents),
            MatrixState(state.matrix_BHPV, None, state.position),
            config.feature_map,
            config.chunk,
        )
        y_BTHV = v_BTHV * self.D.unsqueeze(-1) + y_BHTV.transpose(1, 2)  # lies as v does: no copy when flattened
        out_BTD = self.out_proj(self.norm(y_BTHV.flatten(2), z_BTD))
        past_BWD = remembered(past_BSD, config.conv_taps, documents)
        if documents is None:
            return out_BTD, Mamba2State(scanned.matrix_BHPV, past_BWD, scanned.position)
        position = documents.position_after(state.position)
        return documents.cleared(out_BTD), Mamba2State(scanned.matrix_BHPV, past_BWD, position)

    def step(self, step_BTH: Tensor) -> Tensor:
        """softplus, within its limits where it has any."""
        step_BTH = softplus(step_BTH + self.dt_bias)
        return step_BTH if self.config.step_limits is None else step_BTH.clamp(*self.config.step_limits)

    def log_gate(self, step_BTH: Tensor, documents: Documents | None) -> Tensor:
        """log_gate_BHT: each head's rate times its step; where a document begins, all is forgotten."""
        log_gate_BHT = (step_BTH * -self.A_log.exp()).transpose(1, 2)
        return log_gate_BHT if documents is None else documents.log_gates(log_gate_BHT, step_BTH)

    def by_head(self, x_BTD: Tensor, form: Form) -> Tensor:
        """B or C for every head: x_BHTK, a view where all heads share one, or none shares any. A kernel shares them."""
        config = self.config
        x_BGTK = x_BTD.unflatten(-1, (config.n_groups, config.d_state)).transpose(1, 2)
        if form == "chunked" and engine_kernel.serves(x_BGTK):
            return x_BGTK
        x_BG1TK = x_BGTK.unsqueeze(2)
        return x_BG1TK.expand(-1, -1, config.n_heads // config.n_groups, -1, -1).flatten(1, 2)


def first_step_bias(share_H: Tensor) -> Tensor:
    """What softplus turns into a step at this share of the way from the smallest to the largest, in the logarithm."""
    low, high = (math.log(step) for step in FIRST_STEPS)
    step_H = (low + share_H * (high - low)).exp()
    return step_H + (-torch.expm1(-step_H)).log()


def first_decay(share_H: Tensor) -> Tensor:
    """A_log."""
    low, high = FIRST_DECAYS
    return (low + share_H * (high - low)).log()
