"""What every query-key-value mixer shares: projections in and out, QK-norm, positions, ALiBi slopes.

A final class names its forms: pure functions (q, k, v, bias, state, ...) -> (y, state).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn

from isostate.mixers.contract import Form, Mixer, MixerConfig, Shapes, check_form, linear_shapes
from isostate.mixers.documents import Documents, positions_of
from isostate.mixers.normalisation import rms_norm
from isostate.mixers.rotary import PLAIN, RotaryConfig, rotate
from isostate.quantities import Cost


class QKVConfig(MixerConfig):
    """Abstract. `n_heads * head_dim` need not equal `d_model`; `match_params` absorbs the difference."""

    n_heads: int
    head_dim: int
    positions: Literal["none", "rotary", "alibi"] = "none"
    qk_norm: Literal["none", "rms"] = "none"
    rotary: RotaryConfig | None = None  # of rotary positions; left out: the plain ones, of base 10,000

    @model_validator(mode="after")
    def _heads_are_possible(self) -> Self:
        for name in ("n_heads", "head_dim"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.positions == "rotary" and self.head_dim % 2:
            raise ValueError(f"head_dim = {self.head_dim}: rotary turns pairs, so it must be even; or choose alibi")
        if self.rotary is not None and self.positions != "rotary":
            raise ValueError(
                f'rotary: positions = "{self.positions}" turn nothing; set positions = "rotary", or leave it out'
            )
        return self

    def with_knob(self, value: int) -> Self:
        """Where the knob is the heads or their size, heads times their size stay the width."""
        assert self.knob is not None, f"{self.family} has no knob"
        free = {"n_heads": "head_dim", "head_dim": "n_heads"}.get(self.knob)
        values = {key: given for key, given in self.to_dict().items() if key != free}
        return type(self).model_validate(values | {self.knob: value})

    @property
    def n_key_heads(self) -> int:
        """Heads of keys and of values."""
        return self.n_heads

    @property
    def n_gates(self) -> int:
        """Of a token."""
        return 0

    @property
    def widths(self) -> list[int]:
        """Of queries, keys, values and gates, which one projection makes."""
        narrow = self.n_key_heads * self.head_dim
        return [self.n_heads * self.head_dim, narrow, narrow, self.n_gates]

    def parameter_shapes(self) -> Shapes:
        """Of both projections, their biases, QK-norm gains, and of gates the bias that the projection has not."""
        shapes: Shapes = {}
        if self.qk_norm == "rms":
            shapes |= {"q_gain": (self.head_dim,), "k_gain": (self.head_dim,)}
        if self.n_gates and self.bias == "none":
            shapes["gate_bias"] = (self.n_gates,)
        widths = self.widths
        shapes |= linear_shapes("in_proj", self.d_model, sum(widths), self.bias != "none")
        return shapes | linear_shapes("out_proj", widths[0], self.d_model, self.bias == "all")

    def projection_cost(self, n_tokens: int) -> Cost:
        """Both projections, QK-norm and rotary. Bytes: weights, inputs and outputs once, float32."""
        wide, narrow, _, n_gates = self.widths
        weights = self.d_model * (2 * wide + 2 * narrow + n_gates)
        other = (wide + narrow) * ((4 if self.qk_norm == "rms" else 0) + (3 if self.positions == "rotary" else 0))
        moved = weights + n_tokens * (2 * self.d_model + 2 * wide + 2 * narrow)
        return Cost(2 * n_tokens * weights, n_tokens * other, 4 * moved)


class QKVMixer(Mixer):
    """Abstract. x_BTD to q_BHTK, k_BGTK, v_BGTV, one of the family's forms, and back to y_BTD."""

    config: QKVConfig

    def __init__(self, config: QKVConfig) -> None:
        super().__init__()
        self.config = config
        self.widths = config.widths
        self.in_proj = projection(config.d_model, sum(self.widths), bias=config.bias != "none")
        self.out_proj = projection(self.widths[0], config.d_model, bias=config.bias == "all")
        if config.qk_norm == "rms":
            self.q_gain = nn.Parameter(torch.ones(config.head_dim))
            self.k_gain = nn.Parameter(torch.ones(config.head_dim))

    def attend(
        self,
        q_BHTK: Tensor,
        k_BGTK: Tensor,
        v_BGTV: Tensor,
        gate_BTH: Tensor,
        state: Any,
        form: Form,
        documents: Documents | None = None,
    ) -> tuple[Tensor, Any]:
        raise NotImplementedError

    def forward(
        self, x_BTD: Tensor, state: Any = None, form: Form = "chunked", documents: Documents | None = None
    ) -> tuple[Tensor, Any]:
        check_form(form)
        state = self.init_state(x_BTD.shape[0]) if state is None else state
        q_BTHK, k_BTGK, v_BTGV, gate_BTH = self.in_proj(x_BTD).split(self.widths, dim=-1)
        q_BTHK = q_BTHK.unflatten(-1, (self.config.n_heads, self.config.head_dim))
        k_BTGK = k_BTGK.unflatten(-1, (self.config.n_key_heads, self.config.head_dim))
        v_BTGV = v_BTGV.unflatten(-1, (self.config.n_key_heads, self.config.head_dim))
        if self.config.qk_norm == "rms":
            q_BTHK, k_BTGK = rms_norm(q_BTHK, self.q_gain), rms_norm(k_BTGK, self.k_gain)
        q_BHTK, k_BGTK, v_BGTV = q_BTHK.transpose(1, 2), k_BTGK.transpose(1, 2), v_BTGV.transpose(1, 2)
        if self.config.positions == "rotary":
            rotary, start = self.config.rotary or PLAIN, positions_of(x_BTD, state.position, documents)
            q_BHTK, k_BGTK = rotate(q_BHTK, start, rotary), rotate(k_BGTK, start, rotary)
        y_BHTV, state = self.attend(q_BHTK, k_BGTK, v_BGTV, gate_BTH, state, form, documents)
        y_BTD = self.out_proj(y_BHTV.transpose(1, 2).flatten(2))
        return y_BTD if documents is None else documents.cleared(y_BTD), state


def projection(n_in: int, n_out: int, bias: bool) -> nn.Linear:
    """A linear layer whose bias, where it has one, starts at zero (GPT-2)."""
    layer = nn.Linear(n_in, n_out, bias=bias)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def alibi_slopes(n_heads: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """slopes_H: 2^(-8 i / H) for i = 1..H (Press et al. 2022; FORMULAS 1.2)."""
    exponents_H = torch.arange(1, n_heads + 1, dtype=torch.float64, device=device) * (-8.0 / n_heads)
    return torch.exp2(exponents_H).to(dtype)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def retention_slopes(n_heads: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """slopes_H: -log(1 - 2^(-5 - i)) for i = 0..H - 1 (Sun et al. 2023, section 2.1)."""
    exponents_H = -5.0 - torch.arange(n_heads, dtype=torch.float64, device=device)
    return (-torch.log1p(-torch.exp2(exponents_H))).to(dtype)


def fill_heads(values: Any, default_heads: int) -> Any:
    """Completes n_heads and head_dim from d_model: n_heads * head_dim = d_model unless both are given."""
    if not isinstance(values, dict) or not isinstance(values.get("d_model"), int):
        return values
    values, width = dict(values), values["d_model"]
    heads, size = values.get("n_heads"), values.get("head_dim")
    if heads is None and size is None:
        heads = values["n_heads"] = default_heads
    for given, name, other in ((heads, "n_heads", "head_dim"), (size, "head_dim", "n_heads")):
        if isinstance(given, int) and values.get(other) is None:
            if given < 1 or width % given:
                raise ValueError(f"{name} = {given}: must divide d_model = {width}; or give {other} too")
            values[other] = width // given
    return values


def divisors(number: int) -> Iterator[int]:
    return (divisor for divisor in range(1, number + 1) if number % divisor == 0)
