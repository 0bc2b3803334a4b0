"""A window sees its last positions and, where it has sinks, the first ones of the sequence, at their true distances."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers import FORMS
from isostate.mixers.projections import alibi_slopes
from isostate.mixers.softmax import SoftmaxConfig
from isostate.mixers.window import WindowConfig
from tests.mixers.runs import build, tokens
from tests.tolerances import assert_agrees

SIZES = {"d_model": 16, "n_heads": 4, "positions": "alibi"}


def by_formula(mixer, x_BTD, of_cache: bool = False) -> torch.Tensor:
    """The docstring's sum, position by position; `of_cache`: distances within the cache, as StreamingLLM has them."""
    config, T = mixer.config, x_BTD.shape[1]
    q, k, v = (x.unflatten(-1, (4, 4)).transpose(1, 2) for x in mixer.in_proj(x_BTD).split(mixer.widths, -1)[:3])
    slopes_H1 = alibi_slopes(4, q.dtype, q.device)[:, None]
    reads = []
    for t in range(T):
        seen = [s for s in range(t + 1) if s < config.sinks or t - s < config.window]
        at = range(len(seen)) if of_cache else seen
        distance = torch.tensor([at[-1] - place for place in at], dtype=q.dtype)
        scores = (q[:, :, t, None] * k[:, :, seen]).sum(-1) / 2 - slopes_H1 * distance
        reads.append((scores.softmax(-1)[..., None] * v[:, :, seen]).sum(2))
    return mixer.out_proj(torch.stack(reads, 1).flatten(2))


@pytest.mark.parametrize("sinks", [0, 1, 4, 50, 200])
@pytest.mark.parametrize("window", [1, 5, 40])
def test_every_form_sees_the_window_and_the_sinks_alone(window, sinks):
    mixer = build(WindowConfig(**SIZES, window=window, sinks=sinks))
    x_BTD = tokens(mixer.config, 130)
    want_BTD = by_formula(mixer, x_BTD)
    for form in FORMS:
        assert_agrees(mixer(x_BTD, form=form)[0], want_BTD, form)
    if 0 < sinks < 100:
        without = build(WindowConfig(**SIZES, window=window))
        assert (without(x_BTD)[0] - want_BTD).abs().max() > 1e-3
        assert (by_formula(mixer, x_BTD, of_cache=True) - want_BTD).abs().max() > 1e-6, "positions of the cache differ"


def test_sinks_that_hold_the_whole_sequence_make_it_softmax_attention():
    mixer, whole = build(WindowConfig(**SIZES, window=3, sinks=90)), build(SoftmaxConfig(**SIZES))
    x_BTD = tokens(mixer.config, 90)
    assert_agrees(mixer(x_BTD)[0], whole(x_BTD)[0])


def test_the_state_keeps_the_first_keys_and_the_last():
    config = WindowConfig(**SIZES, window=5, sinks=2)
    mixer, x_BTD = build(config), tokens(config, 100)
    _, everything = build(SoftmaxConfig(**SIZES))(x_BTD)
    kept = [0, 1, *range(95, 100)]
    for form in FORMS:
        _, state = mixer(x_BTD, form=form)
        assert_agrees(state.k_BGSK, everything.k_BGSK[:, :, kept], form)
    assert [config.state_size(context).elements for context in (6, 7, 100)] == [6 * 32, 7 * 32, 7 * 32]
