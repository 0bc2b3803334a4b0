"""S4 with a diagonal state matrix (S4D; Gu, Gupta, Goel and Re 2022): every channel a linear filter of fixed decays.

    h_t = exp(a) h_{t-1} + b x_t        y_t = 2 Re(C . h_t) + D x_t        out = glu(W gelu(y))

FORMULAS section 1.3; a and b are A and B discretised with a step dt a channel, by zero-order hold or bilinear
(`s4_modes.py`), the three forms are the filter's (`s4_filter.py`). A holds one of each conjugate pair of modes, so 2 Re
sums both; with start = "real" modes are real, and y = C . h. B is 1: only its product with C could be seen. The state
is R real numbers a channel, a pair of modes two of them: first all real parts, then all imaginary ones.

When to use it: for smooth or regular signals and as the plain linear filter that selective mixers are measured against:
what it keeps depends on the distance alone, never on the token.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.functional import gelu, glu

from isostate.mixers.contract import Causal, Form, Mixer, MixerConfig, Shapes, State, check_form, linear_shapes
from isostate.mixers.documents import Documents
from isostate.mixers.projections import projection
from isostate.mixers.s4_documents import by_documents
from isostate.mixers.s4_filter import chunked, parallel, recurrent
from isostate.mixers.s4_modes import Modes
from isostate.quantities import Cost, StateSize

FIRST_STEPS = (1e-3, 0.1)  # of a fresh channel, evenly in the logarithm (S4D's appendix)
LARGEST_STATE = 1024  # elements of a channel that `knob_values` goes up to
CHUNK = 64

FORMS = {"recurrent": recurrent, "parallel": parallel, "chunked": chunked}


class S4Config(MixerConfig):
    """`d_state` (R) sets the state. `start`: S4D-Lin, S4D-Inv or S4D-Real, where A begins.

    There is no projection in, so bias = "qkv" adds none.
    """

    kind: Literal["s4"] = "s4"
    d_state: int = 64
    discretisation: Literal["zoh", "bilinear"] = "zoh"
    start: Literal["lin", "inv", "real"] = "lin"
    chunk: int | None = None  # positions in a chunk of the chunked form; None: 64

    knob: ClassVar[str | None] = "d_state"

    @model_validator(mode="after")
    def _sizes_are_possible(self) -> Self:
        for name in ("d_state", "chunk"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")
        if self.in_pairs and self.d_state % 2:
            raise ValueError(f'd_state = {self.d_state}: pairs of modes make it even; or choose start = "real"')
        return self

    @property
    def in_pairs(self) -> bool:
        """Whether modes are complex, each standing for two."""
        return self.start != "real"

    @property
    def modes(self) -> int:
        """Modes of a channel that are kept."""
        return self.d_state // 2 if self.in_pairs else self.d_state

    @property
    def family(self) -> str:
        marks = [self.start] if self.start != "lin" else []
        return "-".join(["s4", *marks, *(["bilinear"] if self.discretisation == "bilinear" else [])])

    def knob_values(self, context: int) -> Sequence[int]:
        return range(2, LARGEST_STATE + 1, 2) if self.in_pairs else range(1, LARGEST_STATE + 1)

    def state_size(self, context: int) -> StateSize:
        return StateSize({"matrix": self.d_model * self.d_state})

    def parameter_shapes(self) -> Shapes:
        width, modes = self.d_model, self.modes
        rates: Shapes = {"log_dt": (width,), "A_log": (width, modes)}
        parts: Shapes = {"A_imag": (width, modes), "C": (width, modes, 2)} if self.in_pairs else {"C": (width, modes)}
        return rates | parts | {"D": (width,)} | linear_shapes("out_proj", width, 2 * width, self.bias == "all")

    def projection_cost(self, n_tokens: int) -> Cost:
        """One projection, gelu at 8 FLOPs, the gate at 6. Bytes: float32, once."""
        weights = 2 * self.d_model**2
        return Cost(2 * n_tokens * weights, 14 * n_tokens * self.d_model, 4 * (weights + 5 * n_tokens * self.d_model))

    def cost(self, batch: int, context: int, form: Form = "chunked", causal: Causal = "whole") -> Cost:
        """Inside chunks transforms, 5 n log2 n FLOPs each; between them products with the powers of the decays."""
        width, states = self.d_model, self.d_state
        turn = 4 if self.in_pairs else 2
        rows = batch * width
        if form == "recurrent":
            filtering = Cost(0, rows * context * ((turn + 4) * states + 2), 4 * rows * context * 2 * states)
            return self.projection_cost(batch * context) + filtering
        chunk = context if form == "parallel" else min(self.chunk or CHUNK, context)
        n_chunks = -(-context // chunk)
        last = context - (n_chunks - 1) * chunk
        matmul = 2 * rows * states * ((n_chunks - 1) * chunk + last + n_chunks * chunk)
        transform = int(5 * 2 * chunk * math.log2(2 * chunk) / 2)  # of real numbers: half
        other = rows * n_chunks * (2 * transform + 6 * (chunk + 1) + 3 * chunk + (turn + 1) * states)
        other += width * (transform + self.modes * chunk * 30)  # the filter itself
        moved = rows * n_chunks * (8 * chunk + 2 * states) + 3 * width * states * chunk
        return self.projection_cost(batch * context) + Cost(matmul, other, 4 * moved)


@dataclass(frozen=True)
class S4State(State):
    """h of every channel: real parts, then imaginary parts."""

    matrix_BDR: Tensor
    position: int | Tensor = 0


class S4Mixer(Mixer):
    """The filter, gelu, and a gated projection that mixes channels."""

    config: S4Config
    own: ClassVar[frozenset[str]] = frozenset({"log_dt", "A_log", "A_imag", "C", "D"})

    def __init__(self, config: S4Config) -> None:
        super().__init__()
        self.config = config
        width, modes = config.d_model, config.modes
        low, high = (math.log(step) for step in FIRST_STEPS)
        self.log_dt = nn.Parameter(torch.linspace(low, high, width))
        real_R, imag_R = first_modes(config.start, config.d_state)
        self.A_log = nn.Parameter((-real_R).log().repeat(width, 1))
        self.A_imag = nn.Parameter(imag_R.repeat(width, 1)) if config.in_pairs else None
        self.C = nn.Parameter(torch.ones(width, modes, 2) if config.in_pairs else torch.ones(width, modes))
        self.D = nn.Parameter(torch.ones(width))
        self.out_proj = projection(width, 2 * width, bias=config.bias == "all")

    def start_own(self, generator: torch.Generator) -> None:
        """Steps at random within their range, C and D normal: C of variance 1, its parts together."""
        low, high = (math.log(step) for step in FIRST_STEPS)
        self.log_dt.uniform_(low, high, generator=generator)
        self.C.normal_(0.0, 0.5**0.5 if self.config.in_pairs else 1.0, generator=generator)
        self.D.normal_(generator=generator)

    def init_state(self, batch: int) -> S4State:
        return S4State(self.D.new_zeros(batch, self.config.d_model, self.config.d_state))

    def modes(self) -> Modes:
        """The parameters of the filter; real modes have real C."""
        C_DR1 = self.C if self.config.in_pairs else self.C.unsqueeze(-1)
        return Modes(self.log_dt, self.A_log, self.A_imag, C_DR1, self.config.discretisation)

    def forward(
        self, x_BTD: Tensor, state: Any = None, form: Form = "chunked", documents: Documents | None = None
    ) -> tuple[Tensor, Any]:
        check_form(form)
        state = self.init_state(x_BTD.shape[0]) if state is None else state

        def run(x_BTD: Tensor, state_BDR: Tensor) -> tuple[Tensor, Tensor]:
            return FORMS[form](x_BTD, self.modes(), self.D, state_BDR, self.config.chunk or CHUNK)

        if documents is None:
            y_BTD, matrix_BDR = run(x_BTD, state.matrix_BDR)
            return glu(self.out_proj(gelu(y_BTD))), S4State(matrix_BDR, state.position + x_BTD.shape[1])
        if form == "recurrent":
            y_BTD, matrix_BDR = documents.by_pieces(run, x_BTD, state.matrix_BDR)
        else:
            y_BTD, matrix_BDR = by_documents(run, x_BTD, state.matrix_BDR, documents)
        out_BTD = documents.cleared(glu(self.out_proj(gelu(y_BTD))))
        return out_BTD, S4State(matrix_BDR, documents.position_after(state.position))


def first_modes(start: str, d_state: int) -> tuple[Tensor, Tensor]:
    """Real and imaginary part of A: -1/2 + i pi n; -1/2 + i (R / pi) (R / (2 n + 1) - 1); -(n + 1)."""
    if start == "real":
        real_R = -torch.arange(1, d_state + 1, dtype=torch.get_default_dtype())
        return real_R, torch.zeros_like(real_R)
    n_R = torch.arange(d_state // 2, dtype=torch.get_default_dtype())
    imag_R = math.pi * n_R if start == "lin" else d_state / math.pi * (d_state / (2 * n_R + 1) - 1)
    return torch.full_like(n_R, -0.5), imag_R
