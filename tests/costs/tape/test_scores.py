"""Attention is told as torch runs it: fused, of plain matmuls where weights are dropped, and our own of all scores."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from isostate.costs import counting
from isostate.costs.tape import scores
from isostate.costs.tape.operations import split, unflattened
from isostate.costs.tape.projections import Heads
from isostate.costs.tape.tape import HEADS, Tape, Value
from isostate.mixers import softmax
from isostate.mixers.softmax import SoftmaxConfig
from tests.costs.tape.running import assert_same, in_torch, on_tape

H, K = 4, 8


def attended(kernel, batch: int, positions: int):
    """(tape's, torch's) from one projection of queries, keys and values, as the mixers have it."""
    heads = Heads(batch, positions, H, H, K)

    def tell(tape: Tape, x: Value) -> Value:
        parts = split(tape, x, [heads.wide] * 3)
        q, k, v = (unflattened(tape, part) for part in parts)
        tape.free(*parts)
        y = kernel(tape, q, k, v, heads)
        tape.free(q, k, v)
        return y

    return tell, 3 * heads.wide


def heads_of(x_BTW: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return tuple(part.unflatten(-1, (H, K)).transpose(1, 2) for part in x_BTW.split([H * K] * 3, dim=-1))


@pytest.mark.parametrize("batch, positions", [(2, 16), (1, 33), (2, 250), (1, 800)])
def test_the_fused_kernel_is_told_at_every_size_of_its_pieces(batch, positions):
    tell, size = attended(lambda t, q, k, v, heads: scores.fused(t, q, k, v, heads, positions), batch, positions)

    def forward(x_BTW):
        return scaled_dot_product_attention(*heads_of(x_BTW), is_causal=True)

    assert_same(on_tape(tell, size), in_torch(forward, (batch, positions, 3 * H * K)))


@pytest.mark.parametrize("batch, positions", [(2, 16), (1, 33)])
def test_where_weights_are_dropped_torch_runs_plain_matmuls(batch, positions):
    tell, size = attended(lambda t, q, k, v, heads: scores.unfused(t, q, k, v, heads, positions), batch, positions)

    def forward(x_BTW):
        return scaled_dot_product_attention(*heads_of(x_BTW), is_causal=True, dropout_p=0.1)

    assert_same(on_tape(tell, size, HEADS), in_torch(forward, (batch, positions, 3 * H * K)))


@pytest.mark.parametrize("window", [False, True])
@pytest.mark.parametrize("positions", ["none", "alibi"])
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_our_own_holds_all_scores(positions, dropout, window):
    config = SoftmaxConfig(d_model=32, n_heads=H, positions=positions, attention_dropout=dropout)
    tell, size = attended(lambda t, q, k, v, heads: scores.dense(t, config, q, k, v, heads, 16, window), 2, 16)
    slopes_H = torch.ones(H) if positions == "alibi" else None

    def forward(x_BTW):
        return softmax.attend_densely(*heads_of(x_BTW), slopes_H, 7 if window else None, dropout)

    assert_same(on_tape(tell, size, HEADS), in_torch(forward, (2, 16, 3 * H * K)))


@pytest.mark.parametrize("n_slopes, window", [(0, None), (0, 3), (H, None), (H, 3)])
def test_the_bias_of_the_scores_is_made_through_distances(n_slopes, window):
    slopes_H = torch.ones(H) if n_slopes else None
    device = torch.device("cpu")
    real = counting.peak_allocated_bytes(lambda: softmax.causal_bias(20, 50, slopes_H, torch.float32, device, window))
    tape = Tape(4)
    bias = scores.causal_bias(tape, 20, 50, n_slopes, window is not None)
    assert abs(tape.peak - real) <= 64
    assert bias.nbytes == tape.live == softmax.causal_bias(20, 50, slopes_H, torch.float32, device, window).nbytes
