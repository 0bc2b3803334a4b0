"""Kernels around and in attention: as many as torch dispatches, in the forward and in the backward."""

from __future__ import annotations

import pytest

from isostate.costs.mixer_kernels import mixer_parts
from isostate.costs.operators import training_parts
from isostate.mixers.contract import MixerConfig
from isostate.model import Decoder
from tests.costs.dispatched import dispatched, model_of, tokens
from tests.mixers.cases import CASES, name_of

BATCH, CONTEXT = 2, 130
EXTRAS = [{"mlp": "gelu", "norm": "layer"}, {"conv_taps": 4}]


def counts(config) -> tuple[int, int]:
    """Operations of a forward and of a backward."""
    model, tokens_BT = Decoder(config), tokens(BATCH, CONTEXT)
    model.loss(tokens_BT, tokens_BT)[0].backward()  # fills what layers cache, and the gradients
    losses = []
    forward = dispatched(lambda: losses.append(model.loss(tokens_BT, tokens_BT)[0]))
    return forward, dispatched(lambda: losses[0].backward())


def predicted(config) -> tuple[int, int]:
    parts = [part for part in training_parts(config, BATCH, CONTEXT) if part.name != "optimizer"]
    after = [part for part in parts if "backward" in part.name or part.name == "gradients"]
    return sum(part.n_calls for part in parts if part not in after), sum(part.n_calls for part in after)


@pytest.mark.parametrize("mixer", CASES, ids=name_of)
def test_kernels_and_calls_are_as_many_as_torch_dispatches(mixer):
    for extras in ({}, *EXTRAS):
        config = model_of(mixer, **extras)
        deeper = model_of(mixer, n_layers=6, **extras)
        counted = [b - a for a, b in zip(counts(config), counts(deeper), strict=True)]
        mine = [b - a for a, b in zip(predicted(config), predicted(deeper), strict=True)]
        assert mine == pytest.approx(counted, rel=0.1)


def test_a_mixer_whose_kernels_are_not_written_is_told():
    class OtherConfig(MixerConfig):
        kind: str = "other"

    with pytest.raises(ValueError, match="mixer 'other': its kernels are not written down"):
        mixer_parts(OtherConfig(d_model=8, n_heads=1, head_dim=8), 1, 8)
