"""Dropped attention weights: each is zero or larger, in training alone, whichever form computes them."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers import FORMS, MixerConfig, build_mixer
from isostate.mixers.softmax import SoftmaxConfig, causal_bias, drop_weights
from isostate.mixers.window import WindowConfig
from tests.tolerances import assert_agrees

T, SHARE = 40, 0.25
MIXERS = [
    SoftmaxConfig(d_model=16, n_heads=4, n_kv_heads=2, attention_dropout=SHARE),
    SoftmaxConfig(d_model=16, n_heads=4, positions="alibi", attention_dropout=SHARE),
    WindowConfig(d_model=16, n_heads=2, window=3, attention_dropout=SHARE),
    WindowConfig(d_model=16, n_heads=2, window=300, attention_dropout=SHARE),
]


def attended_weights(config: MixerConfig, form: str, training: bool = True) -> torch.Tensor:
    """weight_BHTT as the form applies them: values are one-hot, so that what is read is the weights."""
    mixer = build_mixer(config).double().train(training)
    generator = torch.Generator().manual_seed(0)
    shape = (3, config.n_heads, T, config.head_dim)
    q_BHTK, k_BHTK = (torch.randn(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    v_BHTT = torch.eye(T, dtype=torch.float64).expand(3, config.n_heads, T, T)
    groups = config.n_heads // config.n_kv_heads
    weight_BHTT, _ = mixer.attend(
        q_BHTK, k_BHTK[:, ::groups], v_BHTT[:, ::groups], q_BHTK[..., 0], _empty(config, v_BHTT[:, ::groups]), form
    )
    return weight_BHTT


def _empty(config: MixerConfig, v_BGTT: torch.Tensor):
    state = build_mixer(config).double().init_state(3)
    return type(state)(state.k_BGSK, v_BGTT[:, :, :0])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("config", MIXERS, ids=lambda c: f"{c.family}/{c.positions}/{c.knob_value}")
def test_each_weight_is_dropped_or_made_larger(config, form):
    torch.manual_seed(0)
    dropped, kept = attended_weights(config, form), attended_weights(config, form, training=False)
    seen = kept > 0
    share = (dropped[seen] == 0).double().mean().item()
    assert share == pytest.approx(SHARE, abs=4 * (SHARE * (1 - SHARE) / seen.sum().item()) ** 0.5)
    left = dropped != 0
    assert_agrees(dropped[left], kept[left] / (1 - SHARE))
    assert (left <= seen).all(), "what a position may not see stays unseen"


def test_nothing_is_drawn_where_nothing_is_dropped():
    weight_BHTT = causal_bias(4, 4, None, torch.float64, torch.device("cpu")).unsqueeze(0).softmax(-1)
    before = torch.get_rng_state()
    assert drop_weights(weight_BHTT, 0.0) is weight_BHTT
    assert torch.equal(torch.get_rng_state(), before)
