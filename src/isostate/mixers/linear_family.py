"""What linear, Taylor and power attention share: the engine's state, an optional gate a head, fixed decays.

Each family is a feature map (`feature_maps.py`) over the gated linear recurrence (`recurrence.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, pad

from isostate.mixers import recurrence
from isostate.mixers.contract import Causal, Form
from isostate.mixers.documents import Documents
from isostate.mixers.feature_maps import PolynomialMap
from isostate.mixers.projections import QKVConfig, QKVMixer, alibi_slopes, divisors, fill_heads, retention_slopes
from isostate.mixers.recurrence import EPS, MatrixState, best_chunk
from isostate.quantities import Cost, StateSize

GATE_BIAS = 6.906755  # logit(0.999): a fresh gate forgets a thousandth a token (FORMULAS section 1.2)

FORMS = {"recurrent": recurrence.recurrent, "parallel": recurrence.parallel, "chunked": recurrence.chunked}


class LinearFamilyConfig(QKVConfig):
    """Abstract. `gate`: one sigmoid a head and token; `normaliser`: divide by the sum of the weights, or not at all."""

    gate: Literal["none", "head"] = "none"
    decay: Literal["none", "retention"] = "none"  # fixed, by head: 1 - 2^(-5 - i) (Sun et al. 2023, RetNet)
    normaliser: Literal["sum", "none"] = "sum"
    chunk: int | None = None  # positions in a chunk of the chunked form; None: the engine's rule

    knob: ClassVar[str | None] = "head_dim"

    @model_validator(mode="before")
    @classmethod
    def _fill_heads(cls, values: Any) -> Any:
        return fill_heads(values, default_heads=4)

    @model_validator(mode="after")
    def _chunk_is_positive(self) -> Self:
        if self.chunk is not None and self.chunk < 1:
            raise ValueError(f"chunk = {self.chunk}: must be at least 1; leave it out for the engine's own choice")
        return self

    @model_validator(mode="after")
    def _one_fixed_decay(self) -> Self:
        if self.decay == "retention" and self.positions == "alibi":
            raise ValueError('decay = "retention" and positions = "alibi" are both a fixed decay a head; choose one')
        return self

    @property
    def fixed_decay(self) -> bool:
        """Whether each head forgets at a rate of its own, whatever it reads."""
        return self.positions == "alibi" or self.decay == "retention"

    @property
    def feature_map(self) -> PolynomialMap:
        raise NotImplementedError

    @property
    def maps_elements(self) -> bool:
        """Whether queries and keys pass through an elementwise map first."""
        return False

    @property
    def suffix(self) -> str:
        """Marks in the family's name what differs from the default."""
        marks = {"-gated": self.gate == "head", "-retention": self.decay == "retention"}
        return "".join(mark for mark, has in (marks | {"-raw": self.normaliser == "none"}).items() if has)

    def knob_values(self, context: int) -> Sequence[int]:
        return [size for size in divisors(self.d_model) if self.positions != "rotary" or size % 2 == 0]

    def state_size(self, context: int) -> StateSize:
        rows = self.n_heads * self.feature_map.expanded_size
        parts = {"matrix": rows * self.head_dim}
        return StateSize(parts | ({"normaliser": rows} if self.normaliser == "sum" else {}))

    @property
    def n_gates(self) -> int:
        return self.n_heads if self.gate == "head" else 0

    def cost(self, batch: int, context: int, form: Form = "chunked", causal: Causal = "whole") -> Cost:
        V, rows = self.head_dim + (self.normaliser == "sum"), batch * self.n_heads
        engine = engine_cost(self.feature_map, V, rows, context, form, causal, self.chunk)
        return self.projection_cost(batch * context) + engine


def engine_cost(
    feature_map: PolynomialMap, value_size: int, rows: int, context: int, form: Form, causal: Causal, chunk: int | None
) -> Cost:
    """`rows` are batch times heads; the value counts a normaliser's column.

    Counts what the form runs: a whole matrix of scores, chunks with the last one padded, or a step a token.
    """
    P, K, V = feature_map.expanded_size, feature_map.head_dim, value_size
    if form == "recurrent":
        return Cost(0, rows * context * (5 * P * V + 2 * P), 4 * rows * context * 2 * P * V)
    block = context if form == "parallel" else chunk or best_chunk(feature_map, V, context)
    n_chunks = -(-context // block)
    n_reads = n_chunks if form == "parallel" else n_chunks - 1  # the chunked form does not read the empty state
    pairs = n_chunks * (block * block if causal == "whole" else block * (block + 1) // 2)
    matmul = 2 * rows * (pairs * (K + V) + (n_chunks + n_reads) * block * P * V)
    other = rows * n_chunks * (block * (3 * block + 2 * P) + 2 * P * V)
    return Cost(matmul, other, 4 * rows * n_chunks * (2 * P * V + 2 * block * (K + V)))


class LinearFamilyMixer(QKVMixer):
    """Abstract: a final class names its feature map in its config, and may change queries and keys before it."""

    config: LinearFamilyConfig

    def __init__(self, config: LinearFamilyConfig) -> None:
        super().__init__(config)
        n_gates = config.n_gates
        self.gate_bias: nn.Parameter | None = None
        if n_gates and config.bias == "none":
            self.gate_bias = nn.Parameter(torch.full((n_gates,), GATE_BIAS))
        elif n_gates:  # it is part of the projection's
            nn.init.constant_(self.in_proj.bias[-n_gates:], GATE_BIAS)

    def init_state(self, batch: int) -> MatrixState:
        config, like = self.config, self.out_proj.weight
        P = config.feature_map.expanded_size
        matrix_BHPV = like.new_zeros(batch, config.n_heads, P, config.head_dim)
        normalised = config.normaliser == "sum"
        return MatrixState(matrix_BHPV, like.new_zeros(batch, config.n_heads, P) if normalised else None)

    def before_map(self, x_BHTK: Tensor) -> Tensor:
        return x_BHTK

    def attend(self, q_BHTK, k_BGTK, v_BGTV, gate_BTH, state, form, documents=None):
        q_BHTK, k_BHTK = self.before_map(q_BHTK), self.before_map(k_BGTK)
        log_gate_BHT = self.log_gate(gate_BTH)
        config = self.config
        if documents is None:
            return FORMS[form](q_BHTK, k_BHTK, v_BGTV, log_gate_BHT, state, config.feature_map, config.chunk)
        log_gate_BHT = documents.log_gates(log_gate_BHT, q_BHTK)
        run = partial(FORMS[form], q_BHTK, k_BHTK, feature_map=config.feature_map, chunk=config.chunk)
        y_BHTV, after = without_padding(run, v_BGTV, log_gate_BHT, state, documents)
        return y_BHTV, replace(after, position=documents.position_after(state.position))

    def log_gate(self, gate_BTH: Tensor) -> Tensor | None:
        """log g: the gate's, plus -slope where a decay is fixed: exp(-slope) a token."""
        log_gate_BHT = None
        if self.config.gate == "head":
            gate_BTH = gate_BTH if self.gate_bias is None else gate_BTH + self.gate_bias
            log_gate_BHT = logsigmoid(gate_BTH).transpose(1, 2)
        if self.config.fixed_decay:
            slopes = retention_slopes if self.config.decay == "retention" else alibi_slopes
            slopes_1H1 = slopes(self.config.n_heads, gate_BTH.dtype, gate_BTH.device)[None, :, None]
            log_gate_BHT = -slopes_1H1 if log_gate_BHT is None else log_gate_BHT - slopes_1H1
        return log_gate_BHT


def without_padding(
    run: Callable[..., tuple[Tensor, MatrixState]],
    v_BHTV: Tensor,
    log_gate_BHT: Tensor,
    state: MatrixState,
    documents: Documents,
) -> tuple[Tensor, MatrixState]:
    """The engine, where padding must leave no value and no 1 in the normaliser: this column is then made here, 0 there,
    and the division too.
    """
    padding_BT, normalised = documents.padding_BT, state.normaliser_BHP is not None
    if padding_BT is None:
        return run(v_BHTV=v_BHTV, log_gate_BHT=log_gate_BHT, state=state)
    v_BHTV = pad(v_BHTV, (0, int(normalised)), value=1.0).masked_fill(padding_BT[:, None, :, None], 0.0)
    joined = MatrixState(state.joined_BHPV(), None, state.position)
    read_BHTV, after = run(v_BHTV=v_BHTV, log_gate_BHT=log_gate_BHT, state=joined)
    if not normalised:
        return read_BHTV, after
    y_BHTV = read_BHTV[..., :-1] / (read_BHTV[..., -1:] + EPS)
    return y_BHTV, MatrixState.split(after.matrix_BHPV, True, after.position)
