"""The linear family: fresh gates forget a thousandth, ALiBi is a fixed decay, every family is softmax's cousin."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers.linear import LinearConfig
from isostate.mixers.linear_family import GATE_BIAS
from isostate.mixers.power import PowerConfig
from isostate.mixers.projections import alibi_slopes
from isostate.mixers.recurrence import EPS
from isostate.mixers.softmax import SoftmaxConfig
from isostate.mixers.taylor import TaylorConfig
from tests.mixers.runs import build, tokens
from tests.tolerances import assert_agrees


def test_a_fresh_gate_forgets_a_thousandth_a_token():
    assert torch.tensor(GATE_BIAS).double().sigmoid().item() == pytest.approx(0.999, abs=1e-9)
    mixer = build(PowerConfig(d_model=16, n_heads=2, gate="head"))
    with torch.no_grad():
        mixer.gate_bias.fill_(GATE_BIAS)
    log_gate_BHT = mixer.log_gate(torch.zeros(2, 5, 2, dtype=torch.float64))
    assert log_gate_BHT.shape == (2, 2, 5)
    assert_agrees(log_gate_BHT.exp(), torch.full((2, 2, 5), 0.999, dtype=torch.float64), "gates")


def test_alibi_decays_by_its_slope_each_token_and_adds_to_a_gate():
    config = PowerConfig(d_model=16, n_heads=2, positions="alibi")
    zero_BTH = torch.zeros(1, 3, 2, dtype=torch.float64)
    slopes_H = alibi_slopes(2, torch.float64, torch.device("cpu"))
    log_gate = build(config).log_gate(zero_BTH)
    assert_agrees(log_gate.expand(1, 2, 3), -slopes_H[None, :, None].expand(1, 2, 3))
    gated = build(config.model_copy(update={"gate": "head"}))
    both = gated.log_gate(zero_BTH)
    assert_agrees(both[0, :, 0], gated.gate_bias.sigmoid().log() - slopes_H)
    assert build(config.model_copy(update={"positions": "none"})).log_gate(zero_BTH) is None


def test_retention_weighs_by_powers_of_its_heads_decay():
    # Sun et al. 2023, equation 5 and section 2.1: D_nm = gamma^(n - m), gamma = 1 - 2^(-5 - i); heads from 0.96875 up.
    config = LinearConfig(d_model=12, n_heads=3, phi="identity", normaliser="none", decay="retention", chunk=4)
    mixer, x_BTD = build(config), tokens(config, 9)
    q, k, v = projected(mixer, x_BTD)
    gamma_H = torch.tensor([0.96875, 0.984375, 0.9921875], dtype=torch.float64)
    distance_TT = torch.arange(9)[:, None] - torch.arange(9)
    decay_HTT = gamma_H[:, None, None] ** distance_TT.clamp(min=0) * (distance_TT >= 0)
    want_BTD = mixer.out_proj(((q @ k.mT * decay_HTT) @ v).transpose(1, 2).flatten(2))
    for form in ("recurrent", "parallel", "chunked"):
        assert_agrees(mixer(x_BTD, form=form)[0], want_BTD, form)


def projected(mixer, x_BTD):
    """q, k and v of every head, from the mixer's own projections."""
    config = mixer.config
    q_BTHK, k_BTHK, v_BTHV, _ = mixer.in_proj(x_BTD).split(mixer.widths, -1)
    q, k, v = (x.unflatten(-1, (config.n_heads, config.head_dim)).transpose(1, 2) for x in (q_BTHK, k_BTHK, v_BTHV))
    return q, k, v


FORMULAS = {
    "linear": (LinearConfig(d_model=12, n_heads=3), lambda q, k: softplus(q) @ softplus(k).mT),
    "linear-elu+1": (
        LinearConfig(d_model=12, n_heads=3, phi="elu+1"),
        lambda q, k: (torch.where(q > 0, q + 1, q.exp())) @ torch.where(k > 0, k + 1, k.exp()).mT,
    ),
    "taylor-2": (TaylorConfig(d_model=12, n_heads=3), lambda q, k: 1 + q @ k.mT / 2 + (q @ k.mT / 2) ** 2 / 2),
    "power-2": (PowerConfig(d_model=12, n_heads=3), lambda q, k: (q @ k.mT / 2) ** 2),
    "power-4": (PowerConfig(d_model=12, n_heads=3, degree=4), lambda q, k: (q @ k.mT / 2) ** 4),
    "softmax": (SoftmaxConfig(d_model=12, n_heads=3), lambda q, k: (q @ k.mT / 2).exp()),
}


def softplus(x):
    return (1 + x.exp()).log()


@pytest.mark.parametrize("config, weight", FORMULAS.values(), ids=FORMULAS)
def test_every_family_is_a_weighted_mean_of_values_with_its_own_weight(config, weight):
    mixer, x_BTD = build(config), tokens(config, 9)
    q, k, v = projected(mixer, x_BTD)
    weights_BHTS = weight(q, k).tril()
    y_BHTV = weights_BHTS @ v / (weights_BHTS.sum(-1, keepdim=True) + EPS)
    assert_agrees(mixer(x_BTD)[0], mixer.out_proj(y_BHTV.transpose(1, 2).flatten(2)))


def test_the_notes_scale_is_wrong_scores_are_divided_by_the_root_of_the_head_size():
    config, _ = FORMULAS["softmax"]
    mixer, x_BTD = build(config), tokens(config, 9)
    q, k, v = projected(mixer, x_BTD)
    wrong_BHTS = (q @ k.mT * 2).masked_fill(~torch.ones(9, 9, dtype=torch.bool).tril(), -torch.inf).softmax(-1)
    wrong_BTD = mixer.out_proj((wrong_BHTS @ v).transpose(1, 2).flatten(2))
    assert (mixer(x_BTD)[0] - wrong_BTD).abs().max() > 1e-2


def test_without_the_normaliser_the_sum_is_not_divided_by():
    config = PowerConfig(d_model=12, n_heads=3, normaliser="none")
    mixer, x_BTD = build(config), tokens(config, 9)
    q, k, v = projected(mixer, x_BTD)
    y_BHTV = ((q @ k.mT / 2) ** 2).tril() @ v
    assert_agrees(mixer(x_BTD)[0], mixer.out_proj(y_BHTV.transpose(1, 2).flatten(2)))
    assert mixer.init_state(1).normaliser_BHP is None
