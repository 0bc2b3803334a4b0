"""One turn of the recurrence: kernel and torch agree, heads fewer than threads are divided, gates decay first."""

from __future__ import annotations

import torch

from isostate.mixers.feature_maps import linear_map, power_map, taylor_map
from isostate.mixers.recurrence import EPS
from isostate.mixers.steps import kernel
from isostate.mixers.steps.recurrence import Turn
from tests.tolerances import assert_agrees


def turn_of(feature_map, gated, normalised, heads=2):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    K, P, V = feature_map.head_dim, feature_map.expanded_size, 7
    joined = normal(3, heads * (2 * K + V) + 1)
    q, k, v = joined[:, 1:].split([heads * K, heads * K, heads * V], dim=1)
    q, k, v = (x.unflatten(1, (heads, -1)) for x in (q, k, v))
    gates = torch.rand(3, heads, generator=generator, dtype=torch.float64) if gated else None
    normaliser = normal(3, heads, P).abs() + 50 if normalised else None
    y = torch.empty(3, heads, V, dtype=torch.float64)
    return Turn(q, k, v, gates, normal(3, heads, P, V), normaliser, y, feature_map)


def wanted(turn):
    """By the formula, with phi whole."""
    weights = turn.feature_map.weights_P(turn.q_BHK)
    phi_q, phi_k = (turn.feature_map.monomials(x.unsqueeze(-1)).squeeze(-1) * weights for x in (turn.q_BHK, turn.k_BHK))
    gates = torch.ones(turn.q_BHK.shape[:2], dtype=torch.float64) if turn.gates_BH is None else turn.gates_BH
    kept = gates[..., None, None] * turn.matrix_BHPV
    own = turn.feature_map.similarity((turn.q_BHK * turn.k_BHK).sum(-1, keepdim=True))
    y = torch.einsum("bhp,bhpv->bhv", phi_q, kept) + own * turn.v_BHV
    matrix = kept + phi_k.unsqueeze(-1) * turn.v_BHV.unsqueeze(-2)
    if turn.normaliser_BHP is None:
        return [y, matrix]
    total = (phi_q * gates[..., None] * turn.normaliser_BHP).sum(-1, keepdim=True) + own
    return [y / (total + EPS), matrix, gates[..., None] * turn.normaliser_BHP + phi_k]


def test_a_turn_is_the_formula():
    for feature_map in (linear_map(6), power_map(2, 6), power_map(5, 3), taylor_map(2, 6), taylor_map(3, 4)):
        for gated, normalised, heads in ((False, True, 2), (True, False, 2), (True, True, 1)):
            for by_kernel in (False, True):
                turn = turn_of(feature_map, gated, normalised, heads)
                if by_kernel and not kernel.serves(turn.y_BHV):
                    continue
                want = wanted(turn)
                for call in turn.by_kernel() if by_kernel else turn.by_torch():
                    call()
                got = [x for x in (turn.y_BHV, turn.matrix_BHPV, turn.normaliser_BHP) if x is not None]
                for ours, theirs in zip(got, want, strict=True):
                    assert_agrees(ours, theirs, f"{feature_map}, gated {gated}, kernel {by_kernel}")


def test_a_gate_acts_on_the_past_and_not_on_the_position_itself():
    turn = turn_of(power_map(2, 6), True, False)
    turn.gates_BH.zero_()
    for call in turn.calls():
        call()
    own = turn.feature_map.similarity((turn.q_BHK * turn.k_BHK).sum(-1, keepdim=True)) * turn.v_BHV
    assert_agrees(turn.y_BHV, own)
