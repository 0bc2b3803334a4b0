"""Attention as a calibration runs it: torch's is what torch counts, ours is what the mixers call."""

from __future__ import annotations

import pytest
import torch

from isostate.costs import measured_attention
from isostate.costs.counting import matmul_flops
from isostate.mixers import fused


@pytest.mark.parametrize("name", ["attention", "masked_attention"])
def test_torchs_backward_multiplies_two_and_a_half_times_its_forward(name):
    sizes = (2**20, *{"attention": (64, 8), "masked_attention": (16, 64, 8)}[name])
    forward, n_heads = getattr(measured_attention, name)(*sizes)
    backward, same = getattr(measured_attention, f"{name}_backward")(*sizes)
    assert n_heads == same
    assert 2 * matmul_flops(backward) == 5 * matmul_flops(forward) > 0


@pytest.mark.parametrize("positions, window, size", [(32, 16, 8), (64, 256, 32), (100, 100, 16)])
def test_ours_is_called_on_all_its_heads_within_its_window(positions, window, size, monkeypatch):
    asked = []

    def attention(q, k, v, slopes, window):
        asked.append((q.shape, window))
        return (q * k * v).sum()

    work, n_heads = measured_attention.own_window_attention(positions, window, size)
    monkeypatch.setattr(fused, "attention", attention)
    work()
    assert asked == [(torch.Size([n_heads // 4, 4, positions, size]), window)]
    causal, same = measured_attention.own_attention(positions, size)
    causal()
    assert asked[1] == (torch.Size([same // 4, 4, positions, size]), positions)


def test_the_ways_to_our_kernel_are_so_many_one_after_another():
    forward, ways = measured_attention.own_call()
    y = forward()
    assert isinstance(y, torch.Tensor)
    node, depth = y.grad_fn, 0
    while node is not None and "Attention" in node.name():
        node, depth = node.next_functions[0][0], depth + 1
    assert depth == ways
    back, same = measured_attention.own_call_backward()
    assert same == ways
    assert back()[0].shape == (1, 1, 1, 8)
