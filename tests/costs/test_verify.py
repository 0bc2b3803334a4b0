"""Verifying: every row holds on real models, fails on a wrong prediction, and says where it could not run."""

from __future__ import annotations

import pytest

from isostate.costs import verify as verify_module
from isostate.costs.verify import Row, is_small, small_context, verify
from isostate.model import ModelConfig
from tests.costs.configurations import ALL

MODELS = [
    "softmax-2kv/rotary",
    "window-2kv-2sinks/alibi/rms/window=7/dropped",
    "everything, power",
    "everything, softmax",
    "a stack, everything",
]


@pytest.mark.parametrize("name", MODELS)
def test_every_row_holds(name):
    rows = verify(ALL[name].config, 2, 48)
    assert [row.quantity for row in rows if row.holds is False] == []
    claimed = [row for row in rows if row.tolerance is not None]
    assert all(row.holds for row in claimed)
    exact = [row for row in claimed if row.tolerance == 0]
    assert len(exact) >= 16
    assert all(row.predicted == row.counted for row in exact)
    assert [row.quantity for row in claimed if row.tolerance] == [
        "peak of training memory",
        "peak of training memory, blocks run again",
    ]


def test_a_wrong_prediction_does_not_hold(monkeypatch):
    monkeypatch.setattr(verify_module, "state_bytes", lambda *sizes: 1)
    rows = verify(ALL["softmax"].config, 1, 16)
    wrong = [f"state after 16 tokens, {precision}" for precision in ("fp32", "bf16")]
    assert [row.quantity for row in rows if row.holds is False] == wrong


def test_rows_know_their_error():
    assert Row("peak", "bytes", 102, 100, 0.03).holds
    assert Row("peak", "bytes", 102, 100, 0.03).error == pytest.approx(0.02)
    assert not Row("peak", "bytes", 96, 100, 0.03).holds
    assert not Row("parameters", "parameters", 101, 100).holds
    assert Row("kept", "bytes", 1, 0).error == 1.0
    assert Row("kept", "bytes", 0, 0).holds
    assert Row("grown", "bytes", 5, 100, None).holds is None
    assert Row("kept", "bytes", 5, None).holds is None


@pytest.mark.slow
def test_a_model_too_large_to_compute_runs_on_fake_tensors_and_says_what_that_leaves_out():
    sizes = {"vocab_size": 50257, "n_layers": 3, "d_model": 12288, "mlp": "gelu", "norm": "layer", "dropout": 0.1}
    wide = ModelConfig.parse(sizes | {"mixer": {"kind": "window", "n_heads": 96, "window": 16}}, "wide")
    assert not is_small(wide, 1, 64)
    rows = verify(wide, 1, 64)
    counted = [row for row in rows if row.counted is not None]
    assert {row.quantity for row in rows} - {row.quantity for row in counted} == {
        "peak of training memory", "peak of training memory, blocks run again", "growth of the process in training",
    }  # fmt: skip
    assert len(counted) == 16
    assert all(row.predicted == row.counted for row in counted)
    assert counted[0].predicted > 6e9


@pytest.mark.slow  # counts of ten million layers, one by one
def test_the_advice_is_the_longest_context_that_computes():
    config = ALL["softmax"].config
    assert small_context(config, 2, 128) == 128
    wide = config.model_copy(update={"n_layers": 500})
    found = small_context(wide, 64, 2**15)
    assert is_small(wide, 64, found)
    assert not is_small(wide, 64, 2 * found)
    assert small_context(config.model_copy(update={"n_layers": 10**7}), 1, 64) is None
