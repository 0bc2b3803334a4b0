"""Mamba: its equation step by step, published sizes, start values, and Hugging Face's mixer on the same weights."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import conv1d, silu, softplus

from isostate.mixers import FORMS
from isostate.mixers.mamba import MambaConfig, MambaMixer
from isostate.mixers.mamba2 import FIRST_STEPS
from tests.mixers.runs import build, tokens
from tests.tolerances import assert_agrees, relative_error

CONFIG = MambaConfig(d_model=12, d_state=5, dt_rank=3, conv_taps=3)


def test_it_is_the_equation():
    mixer, u_BTD = build(CONFIG), tokens(CONFIG, 11)
    x_BTI, z_BTI = (u_BTD @ mixer.in_proj.weight.T).chunk(2, dim=-1)
    x_BTI = silu(conv1d(x_BTI.mT, mixer.conv1d.weight, mixer.conv1d.bias, padding=2, groups=24)[..., :11].mT)
    d, write, read = (x_BTI @ mixer.x_proj.weight.T).split([3, 5, 5], dim=-1)
    dt_BTI = softplus(d @ mixer.dt_proj.weight.T + mixer.dt_proj.bias)
    h, y = torch.zeros(2, 24, 5, dtype=torch.float64), []
    for t in range(11):
        decay = torch.exp(-dt_BTI[:, t, :, None] * mixer.A_log.exp())
        h = decay * h + (dt_BTI[:, t] * x_BTI[:, t])[..., None] * write[:, t, None]
        y.append(torch.einsum("bir,br->bi", h, read[:, t]) + mixer.D * x_BTI[:, t])
    wanted_BTD = (torch.stack(y, 1) * silu(z_BTI)) @ mixer.out_proj.weight.T
    for form in FORMS:
        assert_agrees(mixer(u_BTD, form=form)[0], wanted_BTD, form)


def test_states_and_parameters_of_mamba_130m():
    """24 layers of width 768: 129,135,360 parameters with the tied table of 50,280 tokens and the norms (its card)."""
    config = MambaConfig(d_model=768)
    assert (config.inner, config.rank) == (1536, 48)
    assert 24 * (config.n_params() + 768) + 50_280 * 768 + 768 == 129_135_360
    parts = config.state_size(10**6).parts
    assert parts == {"matrix": 1536 * 16, "convolution": 1536 * 3}
    # FORMULAS 1.4 counts 12 layers' matrices alone; published caches hold a fourth input, which is never read.
    assert 12 * parts["matrix"] == 294_912
    assert parts["convolution"] != 1536 * 4


def test_a_fresh_mixer_steps_decays_and_skips_as_published():
    mixer = MambaMixer(MambaConfig(d_model=64))
    with torch.no_grad():
        mixer.start_own(torch.Generator().manual_seed(0))
    steps_I = softplus(mixer.dt_proj.bias)
    assert FIRST_STEPS[0] * 0.99 < steps_I.min() < 2e-3
    assert 0.05 < steps_I.max() < FIRST_STEPS[1] * 1.01
    assert steps_I.log().mean().item() == pytest.approx(math.log(1e-2), abs=0.3), "evenly in the logarithm"
    assert torch.allclose(mixer.A_log.exp(), torch.arange(1.0, 17).expand(128, 16))
    assert torch.equal(mixer.D, torch.ones(128))
    assert 0.4 < mixer.conv1d.weight.abs().max() <= 0.5


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"d_state": 0}, "d_state = 0: must be at least 1"),
        ({"expand": 0}, "expand = 0: must be at least 1"),
        ({"conv_taps": 1}, "conv_taps = 1: must be at least 2"),
        ({"dt_rank": 0}, "dt_rank = 0: must be at least 1"),
    ],
)
def test_a_mistake_is_told(mistake, message):
    with pytest.raises(ValueError, match=message):
        MambaConfig(d_model=8, **mistake)


@pytest.mark.slow  # for the import of transformers alone
@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float32, 1e-5), (torch.float64, 1e-6)])
@pytest.mark.parametrize("config", [CONFIG, MambaConfig(d_model=24, expand=3, bias="all", conv_bias=False)], ids=str)
def test_hugging_faces_mixer_gives_the_same_on_the_same_weights(config, dtype, allowed):
    """Its slow path scans in float32 whatever the weights are. Outputs and the gradients of every parameter."""
    hugging_face = pytest.importorskip("transformers.models.mamba.modeling_mamba")
    theirs = hugging_face.MambaMixer(
        hugging_face.MambaConfig(
            hidden_size=config.d_model,
            state_size=config.d_state,
            expand=config.expand,
            conv_kernel=config.conv_taps,
            time_step_rank=config.rank,
            use_bias=config.bias == "all",
            use_conv_bias=config.conv_bias,
        ),
        layer_idx=0,
    ).to(dtype)
    ours = build(config, dtype)
    with torch.no_grad():
        ours.A_log.copy_(torch.rand_like(ours.A_log))
    theirs.load_state_dict(ours.state_dict())  # every name and shape, and no other
    x_BTD = tokens(config, 67, dtype)
    wanted_BTD = theirs(x_BTD)
    dy_BTD = tokens(config, 67, dtype, seed=5)
    wanted = dict(
        zip(dict(theirs.named_parameters()), torch.autograd.grad(wanted_BTD, theirs.parameters(), dy_BTD), strict=True)
    )
    for form in FORMS:
        y_BTD, _ = ours(x_BTD, form=form)
        assert relative_error(y_BTD, wanted_BTD) < allowed, form
        grads = torch.autograd.grad(y_BTD, ours.parameters(), dy_BTD)
        for (name, _), grad in zip(ours.named_parameters(), grads, strict=True):
            assert relative_error(grad, wanted[name]) < 10 * allowed, f"{form}: {name}"
