"""Caches: slots by position, sinks that stay, a ring that turns over, and the end of a context."""

from __future__ import annotations

import pytest
import torch

from isostate.config import UserError
from isostate.mixers.softmax import SoftmaxConfig
from isostate.mixers.window import WindowConfig
from tests.mixers.runs import build, tokens
from tests.mixers.steps.running import load, prepared, run
from tests.tolerances import assert_agrees

WINDOW = WindowConfig(d_model=16, n_heads=4, n_kv_heads=2, window=5, sinks=2, positions="alibi")


def test_a_window_keeps_its_sinks_and_turns_over_from_any_split():
    mixer, x_BTD = build(WINDOW), tokens(WINDOW, 30)
    with torch.no_grad():
        want_BTD, after = mixer(x_BTD, form="recurrent")
        for split in (1, 2, 3, 6, 7, 8, 23):
            _, state = mixer(x_BTD[:, :split])
            step = prepared(mixer, None)
            load(step, state)
            assert_agrees(torch.stack(list(run(step, x_BTD[:, split:])), dim=1), want_BTD[:, split:], f"split {split}")
            for ours, theirs in zip(step.state().tensors(), after.tensors(), strict=True):
                assert_agrees(ours, theirs)


def test_a_state_of_more_positions_than_are_kept_is_refused():
    config = SoftmaxConfig(d_model=16, n_heads=4)
    mixer = build(config)
    with torch.no_grad():
        _, state = mixer(tokens(config, 9))
    message = r"^a state of 9 positions: this decoder keeps 8; make one of a larger context$"
    with pytest.raises(UserError, match=message):
        load(prepared(mixer, 8), state)
    load(prepared(mixer, 9), state)


def test_softmax_asks_for_its_context_and_a_window_does_not():
    with pytest.raises(UserError, match=r"^context: a softmax layer keeps every position; say how many there may be$"):
        prepared(build(SoftmaxConfig(d_model=16, n_heads=4)), None)
    assert prepared(build(WINDOW), None).k_BGSK.shape[2] == 7
