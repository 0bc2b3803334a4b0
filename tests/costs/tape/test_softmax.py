"""Softmax attention is told as it runs, in one piece or in blocks, whoever shares heads."""

from __future__ import annotations

import pytest

from isostate.mixers import softmax
from isostate.mixers.native import torch_operations
from isostate.mixers.softmax import SoftmaxConfig
from tests.costs.tape.mixing import assert_told

CONFIGS = {
    "plain": {},
    "rotary, grouped": {"positions": "rotary", "n_kv_heads": 2},
    "alibi, one key head": {"positions": "alibi", "n_kv_heads": 1},
    "normalised, biased": {"qk_norm": "rms", "bias": "all"},
    "capped": {"score_cap": 2.0, "n_kv_heads": 2, "attention_dropout": 0.1},
    "capped, alibi": {"score_cap": 2.0, "positions": "alibi"},
    "dropped": {"attention_dropout": 0.1, "n_kv_heads": 2, "bias": "qkv"},
}


@pytest.mark.parametrize("form", ["chunked", "parallel"])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_allocation_is_told_of_torch_and_of_our_kernel(name, batch, form):
    config = SoftmaxConfig(d_model=32, n_heads=4, **CONFIGS[name])
    assert_told(config, batch, 40, form)
    with torch_operations():
        assert_told(config, batch, 40, form)


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("batch", [1, 2])
def test_blocks_of_queries_are_told_one_after_another(batch, dropout, monkeypatch):
    monkeypatch.setattr(softmax, "BLOCK", 24)
    config = SoftmaxConfig(d_model=32, n_heads=4, positions="alibi", attention_dropout=dropout)
    with torch_operations():
        assert_told(config, batch, 60)
