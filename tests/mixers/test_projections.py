"""Projections: slopes are the published ones; QK-norm is blind to scale."""

from __future__ import annotations

import torch

from isostate.mixers.projections import alibi_slopes, divisors
from isostate.mixers.softmax import SoftmaxConfig
from tests.mixers.runs import build, tokens
from tests.tolerances import assert_agrees

CPU = torch.device("cpu")


def test_slopes_are_those_published_and_go_on_for_other_numbers_of_heads():
    assert alibi_slopes(8, torch.float64, CPU).tolist() == [2.0**-i for i in range(1, 9)]
    assert alibi_slopes(1, torch.float64, CPU).tolist() == [2.0**-8]
    assert_agrees(
        alibi_slopes(3, torch.float64, CPU), torch.tensor([2 ** (-8 * i / 3) for i in (1, 2, 3)], dtype=torch.float64)
    )


def test_qk_norm_makes_scores_blind_to_the_scale_of_the_input():
    plain, normed = (SoftmaxConfig(d_model=16, n_heads=2, qk_norm=norm) for norm in ("none", "rms"))
    x_BTD = tokens(plain, 12)
    for config, blind in ((plain, False), (normed, True)):
        mixer = build(config)
        once, tenfold = mixer(x_BTD)[0], mixer(10 * x_BTD)[0] / 10  # values scale; weights must not
        assert ((once - tenfold).abs().max() < 1e-5) == blind


def test_divisors_come_in_order():
    assert list(divisors(12)) == [1, 2, 3, 4, 6, 12]
