"""Window attention is told as it runs, in bands where the context is long, padded or not."""

from __future__ import annotations

import pytest

from isostate.mixers.native import torch_operations
from isostate.mixers.window import WindowConfig
from tests.costs.tape.mixing import assert_told

CONFIGS = {
    "plain": {},
    "rotary, grouped": {"positions": "rotary", "n_kv_heads": 2},
    "alibi, one key head": {"positions": "alibi", "n_kv_heads": 1},
    "capped": {"score_cap": 2.0, "n_kv_heads": 2},
    "sinks": {"sinks": 3, "n_kv_heads": 2, "positions": "alibi"},
    "normalised, dropped": {"qk_norm": "rms", "bias": "all", "attention_dropout": 0.1},
}


@pytest.mark.parametrize("context", [50, 96, 100])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_allocation_is_told_of_torch_and_of_our_kernel(name, batch, context):
    config = WindowConfig(d_model=32, n_heads=4, window=8, **CONFIGS[name])
    assert_told(config, batch, context)
    with torch_operations():
        assert_told(config, batch, context)


def test_the_parallel_form_is_told_at_any_length():
    assert_told(WindowConfig(d_model=32, n_heads=4, window=8), 2, 100, "parallel")
