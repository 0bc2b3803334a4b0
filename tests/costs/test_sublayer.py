"""Linears and runs: what multiplies what, and how many pairs of query and key there are."""

from __future__ import annotations

import pytest

from isostate.costs.sublayer import Linear, Run, linear_operator


@pytest.mark.parametrize("window", [None, 1, 3, 7, 8, 20])
def test_pairs_are_those_counted_one_by_one(window):
    context, far = 8, window or 8
    seen = [(t, s) for t in range(context) for s in range(context) if t - far < s <= t]
    assert Run(1, context, causal_halving=True).n_pairs(window) == len(seen)
    assert Run(1, context).n_pairs(window) == context * min(far, context)
    assert Run(1, context, "decode").n_pairs(window) == sum(t == context - 1 for t, _ in seen)


def test_an_encoder_sees_every_pair_even_where_halving_is_asked_for():
    assert Run(1, 8, causal_halving=True).n_pairs(causal=False) == 64


def test_decode_has_one_new_token_a_sequence():
    assert Run(3, 100).n_tokens == 300
    assert Run(3, 100, "decode").n_tokens == 3


def test_a_linear_multiplies_every_row_and_reads_its_weights_once():
    one = linear_operator(Linear("l", 10, 7, bias=True), n_rows=5, run=Run(1, 5, weight_bits=8, activation_bits=32))
    assert one.cost.matmul_flops == 2 * 5 * 10 * 7
    assert one.cost.other_flops == 5 * 7
    assert one.weight_bytes == 10 * 7 + 7
    assert one.cost.moved_bytes == 77 + 4 * 5 * (10 + 7)


def test_odd_numbers_of_small_weights_fill_whole_bytes():
    assert Run(1, 1, weight_bits=4).weight_bytes(7) == 4
