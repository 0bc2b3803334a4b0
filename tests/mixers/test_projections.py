"""Projections: slopes are the published ones; the notes' mistakes are told apart."""

from __future__ import annotations

import math

import torch

from isostate.mixers.projections import alibi_slopes, divisors
from isostate.mixers.softmax import SoftmaxConfig, causal_bias
from tests.mixers.runs import build, tokens
from tests.tolerances import assert_agrees

CPU = torch.device("cpu")


def test_slopes_are_those_published_and_go_on_for_other_numbers_of_heads():
    assert alibi_slopes(8, torch.float64, CPU).tolist() == [2.0**-i for i in range(1, 9)]
    assert alibi_slopes(1, torch.float64, CPU).tolist() == [2.0**-8]
    assert_agrees(
        alibi_slopes(3, torch.float64, CPU), torch.tensor([2 ** (-8 * i / 3) for i in (1, 2, 3)], dtype=torch.float64)
    )


def test_a_position_sees_itself_and_what_came_before_and_the_notes_mask_is_upside_down():
    bias_TS = causal_bias(3, 5, None, torch.float64, CPU)[0]
    seen = [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 1, 1, 1]]  # the last three of five positions
    assert torch.equal(bias_TS == 0, torch.tensor(seen, dtype=torch.bool))
    note = torch.arange(2, 5)[:, None] <= torch.arange(5)  # "0 if s <= s'"
    assert not torch.equal(bias_TS == 0, note)
    assert torch.equal(causal_bias(3, 5, None, torch.float64, CPU, window=2)[0] == 0, torch.tensor(seen).bool().triu(1))


def test_alibi_takes_the_slope_times_the_distance_from_the_score():
    bias_HTS = causal_bias(2, 3, torch.tensor([0.5, 0.25]), torch.float32, CPU)
    assert bias_HTS[0].tolist() == [[-0.5, 0.0, -math.inf], [-1.0, -0.5, 0.0]]
    assert bias_HTS[1].tolist() == [[-0.25, 0.0, -math.inf], [-0.5, -0.25, 0.0]]


def test_qk_norm_makes_scores_blind_to_the_scale_of_the_input():
    plain, normed = (SoftmaxConfig(d_model=16, n_heads=2, qk_norm=norm) for norm in ("none", "rms"))
    x_BTD = tokens(plain, 12)
    for config, blind in ((plain, False), (normed, True)):
        mixer = build(config)
        once, tenfold = mixer(x_BTD)[0], mixer(10 * x_BTD)[0] / 10  # values scale; weights must not
        assert ((once - tenfold).abs().max() < 1e-5) == blind


def test_divisors_come_in_order():
    assert list(divisors(12)) == [1, 2, 3, 4, 6, 12]
