"""Kernels of the linear family: in groups of chunks as the engine takes them, products to the integer."""

from __future__ import annotations

import pytest
import torch

from isostate.costs import engine_kernels
from isostate.costs.counting import matmul_flops
from isostate.costs.engine_kernels import engine_kernels as kernels_of
from isostate.mixers import build_mixer, chunks
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.native import torch_operations
from tests.costs.dispatched import dispatched
from tests.mixers.cases import CASES, name_of

BATCH = 2
LINEAR_CASES = [case for case in CASES if isinstance(case, LinearFamilyConfig)]


def call(mixer: LinearFamilyConfig, context: int):
    """The engine from heads to readings, and the sum of its readings backward."""
    module = build_mixer(mixer)
    q, k, v = (torch.ones(BATCH, mixer.n_heads, context, mixer.head_dim, requires_grad=True) for _ in range(3))
    gate = torch.ones(BATCH, context, mixer.n_heads if mixer.gate == "head" else 0, requires_grad=mixer.gate == "head")
    return lambda: module.attend(q, k, v, gate, module.init_state(BATCH), "chunked")[0]


@pytest.mark.slow
@pytest.mark.parametrize("group", [1, 2**20], ids=["a chunk at a time", "all at once"])
@pytest.mark.parametrize("mixer", LINEAR_CASES, ids=name_of)
def test_products_and_operations_are_the_engines(mixer, group, monkeypatch):
    monkeypatch.setattr(chunks, "GROUP_ELEMENTS", group)
    monkeypatch.setattr(engine_kernels, "GROUP_ELEMENTS", group)
    for context in (1, 64, 100):
        forward, backward = kernels_of(mixer, BATCH, context)
        work = call(mixer, context)
        assert sum(kernel.cost().matmul_flops for kernel in forward) == matmul_flops(work)
        with torch_operations():
            y_BHTV = work()
            again = work()
            counted = dispatched(work), dispatched(y_BHTV.sum().backward)
        assert sum(kernel.cost().matmul_flops for kernel in backward) == matmul_flops(again.sum().backward)
        for kernels, number in zip((forward, backward), counted, strict=True):
            assert sum(kernel.times for kernel in kernels) == pytest.approx(number, rel=0.15, abs=12)


def test_smaller_groups_run_more_kernels_on_the_same_products(monkeypatch):
    mixer = LINEAR_CASES[0]
    whole = kernels_of(mixer, BATCH, 128)[0]
    monkeypatch.setattr(engine_kernels, "GROUP_ELEMENTS", 1)
    pieces = kernels_of(mixer, BATCH, 128)[0]
    assert len(pieces) > 2 * len(whole)
    assert sum(k.cost().matmul_flops for k in pieces) == sum(k.cost().matmul_flops for k in whole)
