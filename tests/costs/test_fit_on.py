"""Layouts that fit: what is parsed, tried, left out and ranked; every misfit told in one line."""

from __future__ import annotations

import time

import pytest

from isostate.config import UserError
from isostate.costs.fit_on import ALIKE, USABLE_SHARE, fit_on, layouts, parse_cluster
from isostate.costs.hardware_table import find_hardware
from isostate.costs.layouts import Cluster
from isostate.costs.sharding import ModelShape, rank_memory
from tests.costs.torch_free import imports_without_torch

LLAMA_8B = ModelShape.transformer("llama-3-8b", 32, 4096, 32, 128256, n_kv_heads=8, d_ff=14336, gated=True, tied=False)
LLAMA_70B = ModelShape.transformer(
    "llama-3-70b", 80, 8192, 64, 128256, n_kv_heads=8, d_ff=28672, gated=True, tied=False
)


def test_it_loads_without_torch():
    assert imports_without_torch("fit_on")


@pytest.mark.parametrize(
    "text, parsed",
    [
        ("64 x h100-80", (64, "h100-80")),
        ("8xA100", (8, "A100")),
        (" 1_024 × tpu-v5p ", (1024, "tpu-v5p")),
        ("16,384 * h100", (16384, "h100")),
        ("h100 80", (1, "h100 80")),
        ("4090", (1, "4090")),
    ],
)
def test_devices_are_read(text, parsed):
    assert parse_cluster(text) == parsed


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "expected devices such as"),
        ("0 x h100", "0 devices; give 1 to"),
        ("9999999 x h100", "9999999 devices; give 1 to"),
        ("64 x h10", "no hardware 'h10' .did you mean \"h100\""),
        ("sixty h100", "no hardware 'sixty h100'"),
        ("8 x rpi-4", "rpi-4: the hardware table has no node_size"),
    ],
)
def test_devices_that_cannot_be_read_are_told(text, said):
    with pytest.raises(UserError, match=said) as caught:
        fit_on(text, LLAMA_8B, 512, 8192)
    assert "\n" not in str(caught.value)


def test_layouts_that_fit_are_ranked_by_time_and_where_alike_by_simplicity():
    found = fit_on("64 x h100-80", LLAMA_8B, 512, 8192)
    seconds = [fit.time.total_s for fit in found.fits]
    fastest = min(seconds)
    assert seconds[0] < (1 + ALIKE) * fastest
    slowest = 0.0
    for taken in seconds:  # never more than a step out of order
        slowest = max(slowest, taken)
        assert taken > slowest / (1 + ALIKE)
    assert 0 < len(found.fits) < found.n_tried
    usable = USABLE_SHARE * 80 * 2**30
    assert found.usable_bytes == usable
    for fit in found.fits:
        assert fit.layout.n_devices == 64
        assert fit.memory.total <= usable
        assert 512 % (fit.layout.data * fit.layout.micro_batch) == 0
        assert fit.tokens_per_s == pytest.approx(512 * 8192 / fit.time.total_s)
    best = found.fits[0]
    # What everyone runs for 8B on 64 H100: data parallel with ZeRO, no pipeline, 40 to 60 % of the peak.
    assert best.layout.pipeline == best.layout.context == 1
    assert best.layout.zero_stage >= 1
    assert 0.4 < best.mfu < 0.62


def test_70b_does_not_fit_without_splitting_it():
    found = fit_on("64 x h100-80", LLAMA_70B, 256, 8192)
    states = 18 * LLAMA_70B.n_params
    for fit in found.fits:
        held = fit.layout.tensor * fit.layout.pipeline
        assert fit.layout.zero_stage >= 1 or held > states / found.usable_bytes
        memory = rank_memory(LLAMA_70B, fit.layout, 256, 8192)
        assert memory == fit.memory


def test_long_contexts_are_split_over_a_ring():
    found = fit_on("64 x h100-80", LLAMA_8B, 8, 2**20)
    assert found.fits[0].layout.context > 1 or found.fits[0].layout.tensor > 1
    assert all(fit.layout.data <= 8 for fit in found.fits)


def test_more_devices_are_never_slower():
    seconds = [
        min(fit.time.total_s for fit in fit_on(f"{n} x h100", LLAMA_8B, 512, 4096).fits) for n in (8, 16, 64, 256)
    ]
    assert seconds == sorted(seconds, reverse=True)
    assert seconds[0] / seconds[-1] > 20  # of 32


def test_experts_are_spread_where_there_are_any():
    moe = ModelShape.transformer(
        "moe", 32, 4096, 32, 32000, n_kv_heads=8, d_ff=0, gated=True, tied=False,
        n_experts=8, experts_per_token=2, d_expert=14336,
    )  # fmt: skip
    found = fit_on("64 x h100-80", moe, 512, 4096)
    assert {fit.layout.expert for fit in found.fits} >= {1, 2, 8}
    assert all(fit.layout.data % fit.layout.expert == 0 for fit in found.fits)
    assert {fit.layout.expert for fit in fit_on("64 x h100-80", LLAMA_8B, 512, 4096).fits} == {1}


def test_what_does_not_fit_is_told_with_what_it_needs():
    with pytest.raises(
        UserError, match=r"llama-3-70b does not fit on 8 x rtx-4090: its fullest device would need \d"
    ) as caught:
        fit_on("8 x rtx-4090", LLAMA_70B, 64, 8192, node_size=8)
    assert "GiB at least, of 21.6 usable; take more devices" in str(caught.value)


def test_a_batch_that_divides_nothing_is_told():
    odd = ModelShape.transformer("odd", 7, 770, 11, 1000)
    with pytest.raises(UserError, match="odd: no layout splits 5 sequences of 1001 on 64 x h100 evenly"):
        fit_on("64 x h100", odd, 5, 1001)


def test_every_layout_splits_evenly():
    cluster = Cluster.of(96, find_hardware("h100"))
    tried = list(layouts(LLAMA_70B, cluster, 96, 8192))
    assert len(tried) == len(set(tried)) > 100
    for layout in tried:
        assert layout.n_devices == 96
        assert LLAMA_70B.n_heads % layout.tensor == 0
        assert layout.tensor <= 8
        assert 8192 % (2 * layout.context) == 0 or layout.context == 1
        micro_batches = 96 // (layout.data * layout.micro_batch)
        assert layout.interleave == 1 or micro_batches % layout.pipeline == 0


def test_thousands_of_layouts_take_seconds():
    began = time.perf_counter()
    found = fit_on("16384 x h100", LLAMA_70B, 16384, 8192)
    assert found.n_tried > 2000
    assert time.perf_counter() - began < 10
