"""Biases of scores are causal, and the notes' mistake is told apart; dropping nothing draws nothing."""

from __future__ import annotations

import math

import torch

from isostate.mixers.scores import causal_bias, drop_weights

CPU = torch.device("cpu")


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


def test_nothing_is_drawn_where_nothing_is_dropped():
    weight_BHTT = causal_bias(4, 4, None, torch.float64, torch.device("cpu")).unsqueeze(0).softmax(-1)
    before = torch.get_rng_state()
    assert drop_weights(weight_BHTT, 0.0) is weight_BHTT
    assert torch.equal(torch.get_rng_state(), before)
