"""Attention weights, whichever form computes them: dropped ones are zero or larger; capped scores are bent."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers import FORMS, MixerConfig, build_mixer
from isostate.mixers.scores import causal_bias
from isostate.mixers.softmax import SoftmaxConfig, mixer_slopes
from isostate.mixers.window import WindowConfig
from tests.mixers.runs import build, tokens
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


@pytest.mark.parametrize("kind", [SoftmaxConfig, WindowConfig])
def test_capped_scores_are_bent_before_the_bias_and_no_score_exceeds_the_cap(kind):
    # Gemma 2 (2024), section 2: logits <- cap tanh(logits / cap), in every attention layer, before the mask.
    sizes = {"d_model": 16, "n_heads": 4, "positions": "alibi"} | ({"window": 4} if kind is WindowConfig else {})
    plain, config = kind(**sizes), kind(**sizes, score_cap=0.7)
    mixer, x_BTD = build(config), 5 * tokens(config, 9)
    q, k, v = (x.unflatten(-1, (4, 4)).transpose(1, 2) for x in mixer.in_proj(x_BTD).split(mixer.widths, -1)[:3])
    scores = q @ k.mT / 2
    assert scores.abs().max() > 0.7
    bias = causal_bias(9, 9, mixer_slopes(mixer, q), q.dtype, q.device, getattr(config, "window", None))
    read = (0.7 * torch.tanh(scores / 0.7) + bias).softmax(-1) @ v
    want_BTD = mixer.out_proj(read.transpose(1, 2).flatten(2))
    for form in FORMS:
        assert_agrees(mixer(x_BTD, form=form)[0], want_BTD, form)
    loose = build(config.model_copy(update={"score_cap": 1e6}))
    assert_agrees(loose(x_BTD)[0], build(plain)(x_BTD)[0], "a cap that nothing reaches")
    assert (want_BTD - build(plain)(x_BTD)[0]).abs().max() > 1e-3
