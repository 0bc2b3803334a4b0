"""The linear family is told as it runs: maps before the engine, gates, decays, one head or many."""

from __future__ import annotations

import pytest

from isostate.costs.tape import chunks
from isostate.mixers.linear import LinearConfig
from isostate.mixers.native import torch_operations
from isostate.mixers.power import PowerConfig
from tests.costs.tape.mixing import assert_told

CONFIGS = {
    "softplus": LinearConfig(d_model=32, n_heads=4, chunk=16),
    "elu+1, alibi": LinearConfig(d_model=32, n_heads=4, chunk=16, phi="elu+1", positions="alibi"),
    "identity, raw": LinearConfig(d_model=32, n_heads=4, chunk=16, phi="identity", normaliser="none"),
    "gated": LinearConfig(d_model=32, n_heads=4, chunk=16, gate="head", qk_norm="rms"),
    "retention": LinearConfig(d_model=32, n_heads=4, chunk=16, decay="retention"),
    "gated, biased": LinearConfig(d_model=32, n_heads=4, chunk=16, gate="head", bias="all", positions="alibi"),
    "one head, raw": LinearConfig(d_model=32, n_heads=1, chunk=16, phi="identity", normaliser="none", gate="head"),
    "one head": LinearConfig(d_model=32, n_heads=1, chunk=16),
    "power, rotary": PowerConfig(d_model=32, n_heads=4, chunk=16, positions="rotary"),
}


@pytest.mark.parametrize("context", [16, 40, 48])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_allocation_is_told(name, batch, context, monkeypatch):
    monkeypatch.setattr(chunks, "ALIKE", 10**9)
    assert_told(CONFIGS[name], batch, context)
    with torch_operations():
        assert_told(CONFIGS[name], batch, context)


def test_other_forms_are_not_told():
    with pytest.raises(AssertionError, match="the tape tells no parallel form of linear"):
        assert_told(CONFIGS["softplus"], 1, 16, "parallel")
