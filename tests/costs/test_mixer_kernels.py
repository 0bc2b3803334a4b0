"""Kernels around and in attention: as many as torch dispatches, in the forward and in the backward."""

from __future__ import annotations

import math
from contextlib import nullcontext

import pytest

from isostate.config import UserError
from isostate.costs.kernels import STREAMS
from isostate.costs.mixer_kernels import mixer_parts
from isostate.costs.operators import training_parts
from isostate.mixers.contract import MixerConfig
from isostate.mixers.linear import LinearConfig
from isostate.mixers.mamba import MambaConfig
from isostate.mixers.mamba2 import Mamba2Config
from isostate.mixers.native import torch_operations
from isostate.mixers.power import PowerConfig
from isostate.mixers.s4 import S4Config
from isostate.mixers.softmax import SoftmaxConfig
from isostate.mixers.taylor import TaylorConfig
from isostate.mixers.window import WindowConfig
from isostate.model import Decoder
from tests.costs.dispatched import dispatched, elements_made, model_of, tokens
from tests.mixers.cases import CASES, name_of

BATCH, CONTEXT = 2, 130
# Of the sizes that people run, where elements outweigh what is small.
WIDE = [
    SoftmaxConfig(d_model=64, n_heads=4, positions="rotary"),
    SoftmaxConfig(d_model=64, n_heads=4, n_kv_heads=2, qk_norm="rms"),
    SoftmaxConfig(d_model=64, n_heads=4, positions="alibi"),
    WindowConfig(d_model=64, n_heads=4, window=64, positions="alibi"),
    WindowConfig(d_model=64, n_heads=4, window=300),
    LinearConfig(d_model=64, n_heads=4),
    LinearConfig(d_model=64, n_heads=4, positions="alibi"),
    LinearConfig(d_model=64, n_heads=4, gate="head"),
    TaylorConfig(d_model=64, head_dim=16, positions="alibi"),
    PowerConfig(d_model=64, head_dim=16, gate="head"),
    PowerConfig(d_model=64, head_dim=8, degree=4),
    Mamba2Config(d_model=64, n_heads=4, d_state=16),
    MambaConfig(d_model=64),
    S4Config(d_model=64, d_state=16),
]
EXTRAS = [
    {"mlp": "gelu", "norm": "layer"},
    {"conv_taps": 4},
    {"mlp": "squared-relu", "block": "parallel", "bias": "all", "dropout": 0.1},
    {"mlp": "geglu", "bias": "qkv"},
]


def counts(config) -> tuple[int, int]:
    """Operations of a forward and of a backward."""
    model, tokens_BT = Decoder(config), tokens(BATCH, CONTEXT)
    model.train_loss(tokens_BT, tokens_BT).backward()  # fills what layers cache, and the gradients
    losses = []
    forward = dispatched(lambda: losses.append(model.train_loss(tokens_BT, tokens_BT)))
    return forward, dispatched(lambda: losses[0].backward())


def predicted(config) -> tuple[int, int]:
    parts = [part for part in training_parts(config, BATCH, CONTEXT) if part.name != "optimizer"]
    after = [part for part in parts if "backward" in part.name or part.name == "gradients"]
    return sum(part.n_calls for part in parts if part not in after), sum(part.n_calls for part in after)


@pytest.fixture(params=["own", "torch"])
def kernels(request):
    """Ours where they serve, or torch alone."""
    with torch_operations() if request.param == "torch" else nullcontext():
        yield request.param


@pytest.mark.slow
@pytest.mark.parametrize("mixer", CASES, ids=name_of)
def test_kernels_and_calls_are_as_many_as_torch_dispatches(mixer, kernels):
    for extras in ({}, *EXTRAS):
        config = model_of(mixer, **extras)
        deeper = model_of(mixer, n_layers=6, **extras)
        counted = [b - a for a, b in zip(counts(config), counts(deeper), strict=True)]
        mine = [b - a for a, b in zip(predicted(config), predicted(deeper), strict=True)]
        assert mine == pytest.approx(counted, rel=0.1)


@pytest.mark.parametrize("mixer", WIDE, ids=name_of)
def test_kernels_write_the_elements_that_torch_writes(mixer, kernels):
    config = model_of(mixer, d_ff=176, vocab_size=256)
    model, tokens_BT = Decoder(config), tokens(BATCH, 512)
    model.train_loss(tokens_BT, tokens_BT).backward()
    written = elements_made(lambda: model.train_loss(tokens_BT, tokens_BT).backward())
    parts = [part for part in training_parts(config, BATCH, 512) if part.name != "optimizer"]
    mine = sum(
        part.times * kernel.times * math.prod(kernel.shape)
        for part in parts
        for kernel in part.kernels
        if kernel.kind in STREAMS
    )
    assert mine == pytest.approx(written, rel=0.12)


def test_a_mixer_whose_kernels_are_not_written_is_told():
    class OtherConfig(MixerConfig):
        kind: str = "other"

    with pytest.raises(UserError, match="mixer 'other': its kernels are not written down"):
        mixer_parts(OtherConfig(d_model=8), 1, 8, "own")
    with pytest.raises(UserError, match=r"attention_dropout: .* no time is predicted; set it to 0"):
        mixer_parts(SoftmaxConfig(d_model=8, n_heads=1, attention_dropout=0.1), 1, 8, "own")
