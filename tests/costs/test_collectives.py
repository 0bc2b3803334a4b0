"""Collectives: volumes counted in rings that are played through, and those of each way to split a model."""

from __future__ import annotations

import numpy as np
import pytest

from isostate.costs import collectives
from tests.costs.torch_free import imports_without_torch


def test_it_loads_without_torch():
    assert imports_without_torch("collectives")


def play_ring_reduce_scatter(given: np.ndarray) -> tuple[np.ndarray, int]:
    """Ranks pass partial sums on, a piece a step; returns what each ends with, and the elements that one sent."""
    ranks, amount = given.shape
    pieces = given.reshape(ranks, ranks, amount // ranks).copy()
    sent = 0
    for step in range(ranks - 1):
        moving = [pieces[rank, (rank - step) % ranks].copy() for rank in range(ranks)]
        for rank in range(ranks):
            pieces[(rank + 1) % ranks, (rank - step) % ranks] += moving[rank]
        sent += moving[0].size
    return np.stack([pieces[rank, (rank + 1) % ranks] for rank in range(ranks)]), sent


def play_ring_all_gather(given: np.ndarray) -> tuple[list[set[int]], int]:
    """Ranks pass on what came last; returns whose parts each has, and the elements that one sent."""
    ranks, amount = given.shape
    held = [{rank} for rank in range(ranks)]
    newest = list(range(ranks))
    sent = 0
    for _ in range(ranks - 1):
        newest = [newest[(rank - 1) % ranks] for rank in range(ranks)]
        for rank in range(ranks):
            held[rank].add(newest[rank])
        sent += amount
    return held, sent


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
def test_rings_send_what_the_formulas_say(ranks):
    given = np.random.default_rng(0).normal(size=(ranks, 24 * ranks))
    parts, sent = play_ring_reduce_scatter(given)
    total = given.sum(0).reshape(ranks, -1)
    assert np.allclose(parts, total[[(rank + 1) % ranks for rank in range(ranks)]])
    assert collectives.reduce_scatter(24 * ranks, ranks) == sent
    held, gathered = play_ring_all_gather(parts)
    assert all(one == set(range(ranks)) for one in held)
    assert collectives.all_gather(24, ranks) == gathered
    assert collectives.all_reduce(24 * ranks, ranks) == sent + gathered
    assert collectives.all_to_all(24 * ranks, ranks) == 24 * ranks - 24  # all but the own part


def test_a_tensor_parallel_layer_sends_4_b_s_d_each_way():
    batch, context, width, ranks = 4, 2048, 6144, 8
    forward, backward = collectives.tensor_parallel(batch, context, width, ranks)
    assert forward == backward == 4 * batch * context * width * 7 / 8
    # With sequence parallelism two pairs of a reduce-scatter and an all-gather: the same volume.
    whole = batch * context * width
    pairs = 2 * (collectives.reduce_scatter(whole, ranks) + collectives.all_gather(whole / ranks, ranks))
    assert forward == pairs
    # ERRATA 30: 2.7e-11 s an element of B D S a layer at 300 GB/s and p = 2, for every one of the L layers.
    seconds = 2 * collectives.tensor_parallel(1, 1, 1, 10**9)[0] / 300e9
    assert seconds == pytest.approx(2.7e-11, rel=0.02)
    assert abs(seconds - 1e-11) > 1e-11  # the note's, without its L besides


def test_bytes_a_flop_of_a_tensor_parallel_layer():
    # ERRATA 17: 2 B S (4 + 2E) D^2 / T FLOPs, the note has half; and the ratio is bytes a FLOP.
    width, ranks, p = 8192, 8, 2
    ratio = collectives.tensor_parallel_bytes_per_flop(width, 4, ranks, p)
    n_flops = 2 * (4 + 2 * 4) * width**2 / ranks  # a token
    assert ratio == pytest.approx(p * collectives.tensor_parallel(1, 1, width, ranks)[0] / n_flops)
    assert ratio != pytest.approx(p * collectives.tensor_parallel(1, 1, width, ranks)[0] / (n_flops / 2))
    # On an A100 with NVLink 3 the talk of a layer this wide takes 0.30 of the time of its matrices.
    assert ratio / (300e9 / 312e12) == pytest.approx(0.296, abs=0.001)


def test_a_stage_sends_its_output_once_scattered_over_tensor_ranks():
    assert collectives.pipeline(1, 2048, 12288) == 2048 * 12288
    assert collectives.pipeline(1, 2048, 12288, tensor_ranks=8) == 2048 * 12288 / 8


def test_ring_attention_sends_its_keys_and_values_to_all_others():
    forward, backward = collectives.ring_attention(batch=2, context=64, kv_width=128, ranks=4)
    assert forward == 3 * 2 * 2 * 16 * 128  # 3 steps, keys and values, 2 sequences of 16 positions
    assert backward == 2 * forward
    assert collectives.ring_attention(2, 64, 128, 1) == (0, 0)


def test_experts_get_each_token_as_often_as_it_has_experts():
    forward, backward = collectives.expert_parallel(1, 4096, 2048, experts_per_token=8, ranks=8)
    assert forward == backward == 2 * 4096 * 2048 * 8 * 7 / 8


@pytest.mark.parametrize("ranks", [1, 8, 64])
def test_zero_costs_no_more_traffic_until_stage_3_which_costs_half_more(ranks):
    # Rajbhandari et al. 2020, section 7: 2 Psi for stages 1 and 2, as without, and 3 Psi for stage 3.
    volumes = [sum(collectives.data_parallel(1000.0, ranks, stage)) for stage in range(4)]
    assert volumes[0] == pytest.approx(2 * 1000 * (ranks - 1) / ranks)
    assert volumes[1] == volumes[2] == pytest.approx(volumes[0])
    assert volumes[3] == pytest.approx(1.5 * volumes[0])
