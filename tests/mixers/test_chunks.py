"""Chunks: reshapings lose nothing, padding weighs nothing, decays are products of the gates between."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers import chunks
from isostate.mixers.chunks import Decays, Layout
from isostate.mixers.feature_maps import power_map
from tests.tolerances import assert_agrees

B, H, K, V = 2, 3, 4, 5


def layout_of(length: int, chunk: int) -> Layout:
    return Layout.of(torch.zeros(B, H, length, K), torch.zeros(B, H, length, V), power_map(2, K), chunk)


@pytest.mark.parametrize("length, chunk, n_chunks", [(1, 4, 1), (8, 4, 2), (9, 4, 3), (3, 16, 1)])
def test_cutting_and_joining_gives_back_every_position_and_pads_with_zeros(length, chunk, n_chunks):
    layout, x_BHTV = layout_of(length, chunk), torch.randn(B, H, length, V)
    x_BHNCV = layout.chunks(x_BHTV)
    assert x_BHNCV.shape == (B, H, n_chunks, chunk, V)
    assert torch.equal(layout.positions(x_BHNCV), x_BHTV)
    assert x_BHNCV.flatten(2, 3)[:, :, length:].eq(0).all()
    rows_BHNKC = layout.rows(torch.randn(B, H, length, K))
    assert rows_BHNKC.shape == (B, H, n_chunks, K, chunk)
    assert rows_BHNKC.is_contiguous()


@pytest.mark.parametrize("elements", [1, 5_000, 2**20])
def test_groups_partition_the_chunks_and_hold_at_most_their_share_of_phi(elements, monkeypatch):
    monkeypatch.setattr(chunks, "GROUP_ELEMENTS", elements)
    layout = layout_of(100, 8)
    groups = layout.groups()
    assert [n for n0, n1 in groups for n in range(n0, n1)] == list(range(layout.N))
    per_chunk = B * H * 8 * layout.P
    assert all(n1 - n0 == 1 or (n1 - n0) * per_chunk <= elements for n0, n1 in groups)


@pytest.mark.parametrize("batch", [1, B])
def test_decays_are_products_of_the_gates_between(batch):
    length, chunk = 10, 4
    layout = layout_of(length, chunk)
    gates_BHT = torch.rand(batch, H, length, dtype=torch.float64)
    decays = Decays.of(gates_BHT.log(), layout, gates_BHT)
    padded = torch.cat([gates_BHT, torch.ones(batch, H, 2, dtype=torch.float64)], 2).unflatten(2, (3, chunk))
    for n in range(3):
        for i in range(chunk):
            for j in range(chunk):
                between = padded[:, :, n, j + 1 : i + 1].prod(-1) if j <= i else torch.zeros(batch, H).double()
                assert_agrees(decays.weight_BHNCC[:, :, n, i, j], between, f"chunk {n}, {i} from {j}")
            assert_agrees(decays.since_start_BHNC1[:, :, n, i, 0], padded[:, :, n, : i + 1].prod(-1))
            assert_agrees(decays.until_end_BHNC1[:, :, n, i, 0], padded[:, :, n, i + 1 :].prod(-1))
    assert_agrees(decays.whole(0, 3)[..., 0, 0], padded.prod(-1), "whole chunks")


def test_without_gates_nothing_decays_and_the_future_is_masked():
    layout = layout_of(6, 4)
    decays = Decays.of(None, layout, torch.zeros(()))
    weight_BHNCC = torch.ones(B, H, 2, 4, 4)
    decays.mask_(weight_BHNCC, 0, 2)
    assert torch.equal(weight_BHNCC, torch.ones(4, 4).tril().expand(B, H, 2, 4, 4))
    x_BHNCV = torch.randn(B, H, 2, 4, V)
    assert torch.equal(decays.since_start(x_BHNCV, 0, 2), x_BHNCV)
    assert torch.equal(decays.until_end(x_BHNCV, 0, 2), x_BHNCV)
    assert decays.whole(0, 2) is None


def test_gates_of_hundreds_of_nats_keep_the_differences_that_matter():
    # In float32 a running sum near -30,000 has steps of 0.002: the last decay of 0.5 nats would be off by that.
    layout = layout_of(64, 64)
    log_gate_BHT = torch.full((1, H, 64), -500.0)
    log_gate_BHT[..., -1] = -0.5
    decays = Decays.of(log_gate_BHT, layout, torch.zeros(()))
    assert decays.weight_BHNCC[0, 0, 0, -1, -2].item() == pytest.approx(torch.tensor(-0.5).exp().item(), rel=1e-6)
