"""One position of the gated linear recurrence (`mixers/recurrence.py`), and the steps of the linear family over it.

    r = phi(q)^T (g S) + f(q, k) v,    S <- g S + phi(k) v^T,    y = r, or r over the sum of the weights

A kernel passes over S once; torch three times.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import cast

import torch
from torch import Tensor
from torch.nn.functional import elu

from isostate.mixers import feature_maps
from isostate.mixers.contract import Mixer
from isostate.mixers.feature_maps import PolynomialMap
from isostate.mixers.linear import LinearConfig
from isostate.mixers.linear_family import LinearFamilyMixer
from isostate.mixers.projections import alibi_slopes, retention_slopes
from isostate.mixers.recurrence import EPS, MatrixState
from isostate.mixers.steps import kernel
from isostate.mixers.steps.contract import Call, Position, scalar
from isostate.mixers.steps.operations import softplus_
from isostate.mixers.steps.qkv import QKVStep


@dataclass(frozen=True)
class Turn:
    """What one step of the recurrence reads and writes. Rows of q, k and v may lie apart, their heads may not."""

    q_BHK: Tensor
    k_BHK: Tensor
    v_BHV: Tensor
    gates_BH: Tensor | None
    matrix_BHPV: Tensor
    normaliser_BHP: Tensor | None
    y_BHV: Tensor
    feature_map: PolynomialMap

    def calls(self) -> list[Call]:
        """By the kernel where it serves, else by torch."""
        tensors = (self.q_BHK, self.k_BHK, self.v_BHV, self.matrix_BHPV, self.y_BHV)
        return self.by_kernel() if kernel.serves(*tensors) else self.by_torch()

    def by_kernel(self) -> list[Call]:
        """One call."""
        batch, heads, P, V = self.matrix_BHPV.shape
        feature_map, K = self.feature_map, self.q_BHK.shape[-1]
        for x in (self.q_BHK, self.k_BHK, self.v_BHV):
            assert x.stride()[1:] == (x.shape[-1], 1), "heads of a sequence lie side by side"
        tables = [feature_maps._factors(K, degree, self.q_BHK.device) for degree in range(2, feature_map.degree + 1)]
        level_sizes = [1, K, *(len(first) for first, _ in tables)]
        assert feature_map.used_degrees == tuple(range(feature_map.used_degrees[0], feature_map.degree + 1))
        rows = (x.stride(0) for x in (self.q_BHK, self.k_BHK, self.v_BHV))
        sizes = kernel.Recurrence(
            *(batch, heads, K, P, V, feature_map.degree),
            *rows,
            *(kernel.threads(), sum(level_sizes), self.normaliser_BHP is not None, EPS),
        )
        none = torch.zeros(0, dtype=torch.long, device=self.q_BHK.device)
        return [
            kernel.bound(
                "recurrence",
                sizes,
                *(self.q_BHK, self.k_BHK, self.v_BHV, self.gates_BH, self.matrix_BHPV, self.normaliser_BHP),
                feature_map.weights_P(self.q_BHK),
                self.q_BHK.new_tensor(feature_map.coefficients),
                torch.cat([none, *(first for first, _ in tables)]),
                torch.cat([none, *(rest for _, rest in tables)]),
                torch.tensor(level_sizes),
                self.q_BHK.new_empty(2, batch, heads, sum(level_sizes)),
                self.y_BHV,
            )
        ]

    def by_torch(self) -> list[Call]:
        """The definition, operation by operation."""
        phi_q_BHP, calls = _expanded(self.q_BHK, self.feature_map)
        phi_k_BHP, more = _expanded(self.k_BHK, self.feature_map)
        own_BH1, scored = self._own()
        calls += [*more, *scored]
        heads = self.matrix_BHPV.shape[0] * self.matrix_BHPV.shape[1]
        matrix_MPV, phi_q_M1P = self.matrix_BHPV.flatten(0, 1), phi_q_BHP.view(heads, 1, -1)
        if self.gates_BH is not None:
            calls.append(partial(self.matrix_BHPV.mul_, self.gates_BH[..., None, None]))
        calls += [
            partial(torch.bmm, phi_q_M1P, matrix_MPV, out=self.y_BHV.view(heads, 1, -1)),
            partial(self.y_BHV.addcmul_, own_BH1, self.v_BHV),
            partial(self.matrix_BHPV.addcmul_, phi_k_BHP.unsqueeze(-1), self.v_BHV.unsqueeze(-2)),
        ]
        if self.normaliser_BHP is None:
            return calls
        if self.gates_BH is not None:
            calls.append(partial(self.normaliser_BHP.mul_, self.gates_BH[..., None]))
        sum_BH1 = torch.empty_like(own_BH1)
        column_MP1 = self.normaliser_BHP.view(heads, -1, 1)
        return [
            *calls,
            partial(torch.bmm, phi_q_M1P, column_MP1, out=sum_BH1.view(heads, 1, 1)),
            partial(sum_BH1.add_, own_BH1),
            partial(sum_BH1.add_, scalar(EPS, sum_BH1)),
            partial(self.y_BHV.div_, sum_BH1),
            partial(self.normaliser_BHP.add_, phi_k_BHP),
        ]

    def _own(self) -> tuple[Tensor, list[Call]]:
        """f(q, k) by Horner's rule."""
        product_BHK, score_BH1 = self.q_BHK.new_empty(self.q_BHK.shape), self.q_BHK.new_empty(*self.q_BHK.shape[:2], 1)
        own_BH1 = torch.empty_like(score_BH1)
        *lower, highest = self.feature_map.coefficients
        calls: list[Call] = [
            partial(torch.mul, self.q_BHK, self.k_BHK, out=product_BHK),
            partial(torch.sum, product_BHK, -1, keepdim=True, out=score_BH1),
            partial(own_BH1.fill_, highest),
        ]
        for coefficient in reversed(lower):
            calls += [partial(own_BH1.mul_, score_BH1), partial(own_BH1.add_, scalar(coefficient, own_BH1))]
        return own_BH1, calls


def _expanded(x_BHK: Tensor, feature_map: PolynomialMap) -> tuple[Tensor, list[Call]]:
    """phi of one position."""
    levels: list[Tensor] = [x_BHK.new_ones(*x_BHK.shape[:2], 1), x_BHK]
    calls: list[Call] = []
    for degree in range(2, feature_map.degree + 1):
        first, rest = feature_maps._factors(feature_map.head_dim, degree, x_BHK.device)
        own_BHP = x_BHK.new_empty(*x_BHK.shape[:2], len(first))
        below_BHP = torch.empty_like(own_BHP)
        calls += [
            partial(torch.index_select, x_BHK, -1, first, out=own_BHP),
            partial(torch.index_select, levels[-1], -1, rest, out=below_BHP),
            partial(own_BHP.mul_, below_BHP),
        ]
        levels.append(own_BHP)
    weights_P = feature_map.weights_P(x_BHK)
    phi_BHP = x_BHK.new_empty(*x_BHK.shape[:2], feature_map.expanded_size)
    used = [levels[degree] for degree in feature_map.used_degrees]
    sizes = [level.shape[-1] for level in used]
    for level, weight_P, part_BHP in zip(used, weights_P.split(sizes), phi_BHP.split(sizes, -1), strict=True):
        calls.append(partial(torch.mul, level, weight_P, out=part_BHP))
    return phi_BHP, calls


class LinearFamilyStep(QKVStep):
    """Linear, Taylor and power attention."""

    def __init__(self, mixer: Mixer, x_BD: Tensor, y_BD: Tensor, position: Position) -> None:
        start = mixer.init_state(x_BD.shape[0])
        self.matrix_BHPV, self.normaliser_BHP = start.matrix_BHPV, start.normaliser_BHP
        super().__init__(mixer, x_BD, y_BD, position)

    def mapped(self, heads_BHK: Tensor) -> tuple[Tensor, list[Call]]:
        config = self.mixer.config
        if not isinstance(config, LinearConfig) or config.phi == "identity":
            return heads_BHK, []
        if config.phi == "softplus":
            return heads_BHK, softplus_(heads_BHK)
        return heads_BHK, [partial(elu, heads_BHK, inplace=True), partial(heads_BHK.add_, scalar(1.0, heads_BHK))]

    def attend(self) -> list[Call]:
        gates_BH, calls = self._gates()
        state = (self.matrix_BHPV, self.normaliser_BHP)
        feature_map = cast(LinearFamilyMixer, self.mixer).config.feature_map
        turn = Turn(self.q_BHK, self.k_BGK, self.v_BGV, gates_BH, *state, self.read_BHV, feature_map)
        return [*calls, *turn.calls()]

    def _gates(self) -> tuple[Tensor | None, list[Call]]:
        """sigmoid of the gate, times the fixed decay."""
        mixer = cast(LinearFamilyMixer, self.mixer)
        config, batch = mixer.config, self.x_BD.shape[0]
        fixed_H: Tensor | None = None
        if config.fixed_decay:
            slopes = retention_slopes if config.decay == "retention" else alibi_slopes
            fixed_H = slopes(config.n_heads, self.x_BD.dtype, self.x_BD.device).neg().exp()
        if config.gate == "none":
            return None if fixed_H is None else fixed_H.expand(batch, -1).contiguous(), []
        gates_BH = self.x_BD.new_empty(batch, config.n_heads)
        source_BH, calls = self.gate_BH, cast(list[Call], [])
        if mixer.gate_bias is not None:
            calls.append(partial(torch.add, self.gate_BH, mixer.gate_bias, out=gates_BH))
            source_BH = gates_BH
        calls.append(partial(torch.sigmoid, source_BH, out=gates_BH))
        return gates_BH, calls + ([] if fixed_H is None else [partial(gates_BH.mul_, fixed_H)])

    def load(self, state: MatrixState) -> None:
        self.matrix_BHPV.copy_(state.matrix_BHPV)
        if self.normaliser_BHP is not None:
            self.normaliser_BHP.copy_(state.normaliser_BHP)

    def state(self) -> MatrixState:
        normaliser_BHP = None if self.normaliser_BHP is None else self.normaliser_BHP.clone()
        return MatrixState(self.matrix_BHPV.clone(), normaliser_BHP, self.position.now)
