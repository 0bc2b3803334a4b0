"""Projections: rotary knows distances alone, slopes are the published ones; the notes' mistakes are told apart."""

from __future__ import annotations

import math

import pytest
import torch

from isostate.mixers.projections import alibi_slopes, divisors, rotate
from isostate.mixers.softmax import SoftmaxConfig, causal_bias
from tests.mixers.runs import build, tokens
from tests.tolerances import assert_agrees

CPU = torch.device("cpu")


def at(x_BHTK: torch.Tensor, position: int) -> torch.Tensor:
    return rotate(x_BHTK, position)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rotary_scores_depend_on_the_distance_alone_and_the_notes_do_not():
    q, k = normal(1, 1, 1, 8), normal(1, 1, 1, 8, seed=1)
    scores = [(at(q, s + 5) * at(k, s)).sum() for s in (0, 3, 1000)]
    assert_agrees(torch.stack(scores), scores[0].expand(3))
    assert (scores[0] - (at(q, 7) * at(k, 0)).sum()).abs() > 1e-3, "another distance, another score"
    # The note turns keys the other way: R(s)^T k. Scores then depend on the sum of positions.
    wrong = [(at(q, s + 5) * at(k, -s)).sum() for s in (0, 3, 1000)]
    assert (wrong[0] - wrong[1]).abs() > 1e-3


def test_pairs_turn_by_position_times_base_to_the_minus_2i_over_the_head_size():
    size, position = 8, 3
    angles = [position * 10_000 ** (-2 * i / size) for i in range(size // 2)]
    for i, angle in enumerate(angles):
        unit = torch.zeros(1, 1, 1, size, dtype=torch.float64)
        unit[..., i] = 1.0
        turned = at(unit, position)[0, 0, 0]
        wanted = torch.zeros(size, dtype=torch.float64)
        wanted[i], wanted[i + size // 2] = math.cos(angle), math.sin(angle)
        assert_agrees(turned, wanted, f"pair {i}")
    # The note has 10^(-8 d / D) with d stepping by 2 and D the model width: other angles for every pair but the first.
    for d, right in list(zip(range(0, size, 2), angles, strict=True))[1:]:
        assert position * 10 ** (-8 * d / size) != pytest.approx(right, rel=0.1), "d stepping by 2, over the head size"
        assert position * 10 ** (-8 * d / 64) != pytest.approx(right, rel=0.1), "over the model width"


def test_a_rotation_keeps_lengths_and_starts_where_it_is_told():
    x = normal(2, 3, 6, 4)
    assert_agrees(at(x, 11).norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(at(x, 0)[:, :, :1], x[:, :, :1])
    assert_agrees(at(x[:, :, 4:], 4), at(x, 0)[:, :, 4:])


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
