"""Mamba-2 is told as it runs: groups of heads, biases, steps with limits, chunks that divide the context or do not."""

from __future__ import annotations

import pytest

from isostate.costs.tape import chunks
from isostate.mixers.mamba2 import Mamba2Config
from isostate.mixers.native import torch_operations
from tests.costs.tape.mixing import assert_told

CONFIGS = {
    "one group": Mamba2Config(d_model=20, n_heads=4, d_state=6, chunk=16),
    "groups": Mamba2Config(d_model=20, n_heads=4, d_state=6, n_groups=2, chunk=16, bias="all"),
    "a group a head": Mamba2Config(d_model=20, n_heads=4, d_state=6, n_groups=4, chunk=16, conv_taps=2),
    "one head": Mamba2Config(d_model=20, n_heads=1, d_state=24, chunk=16, conv_bias=False),
    "limits": Mamba2Config(d_model=24, n_heads=24, d_state=5, chunk=16, step_limits=(0.01, 0.1), bias="qkv"),
}


@pytest.mark.parametrize("context", [16, 40, 48])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_allocation_is_told(name, batch, context, monkeypatch):
    monkeypatch.setattr(chunks, "ALIKE", 10**9)
    assert_told(CONFIGS[name], batch, context)
    with torch_operations():
        assert_told(CONFIGS[name], batch, context)


@pytest.mark.parametrize("elements", [1, 9_000])
def test_groups_of_chunks_are_told(elements, monkeypatch):
    monkeypatch.setattr(chunks, "ALIKE", 10**9)
    monkeypatch.setattr(chunks.chunks, "GROUP_ELEMENTS", elements)
    with torch_operations():
        for config in CONFIGS.values():
            assert_told(config, 2, 72)


def test_other_forms_are_not_told():
    with pytest.raises(AssertionError, match="the tape tells no parallel form of mamba2"):
        assert_told(CONFIGS["one group"], 1, 16, "parallel")
