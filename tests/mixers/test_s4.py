"""S4: its discretisations against dense matrices, its start, its filter; complex states counted."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.signal import cont2discrete, dlsim
from torch.nn.functional import gelu

from isostate.mixers import FORMS
from isostate.mixers.s4 import FIRST_STEPS, S4Config, S4Mixer, first_modes
from isostate.mixers.s4_filter import chunked, parallel, recurrent
from tests.mixers.runs import build, tokens
from tests.tolerances import assert_agrees

CONFIGS = [
    S4Config(d_model=5, d_state=8),
    S4Config(d_model=5, d_state=6, discretisation="bilinear", start="inv"),
    S4Config(d_model=5, d_state=4, discretisation="zoh", start="real"),
    S4Config(d_model=5, d_state=3, discretisation="bilinear", start="real"),
]
every_config = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.family}/{config.d_state}")


def dense_systems(mixer: S4Mixer):
    """Of every channel the continuous system in real matrices, (A, B, C, D, dt); a pair of modes is a rotation."""
    config = mixer.config
    for i in range(config.d_model):
        rates = -mixer.A_log[i].exp().detach().numpy()
        if not config.in_pairs:
            yield (
                np.diag(rates),
                np.ones((len(rates), 1)),
                mixer.C[i].detach().numpy()[None],
                mixer.D[i].item(),
                _dt(mixer, i),
            )
            continue
        n = len(rates)
        A = np.zeros((2 * n, 2 * n))
        turning = np.diag(mixer.A_imag[i].detach().numpy())
        A[:n, :n] = A[n:, n:] = np.diag(rates)
        A[:n, n:], A[n:, :n] = -turning, turning
        C = mixer.C[i].detach().numpy()
        yield (
            A,
            np.r_[np.ones(n), np.zeros(n)][:, None],
            2 * np.r_[C[:, 0], -C[:, 1]][None],
            mixer.D[i].item(),
            _dt(mixer, i),
        )


def _dt(mixer: S4Mixer, i: int) -> float:
    return mixer.log_dt[i].exp().item()


def built(config: S4Config) -> S4Mixer:
    """With steps and modes of the sizes that they have, moved from their start values."""
    mixer = build(config)
    with torch.no_grad():
        mixer.log_dt.uniform_(math.log(1e-3), math.log(0.3))
        mixer.A_log += 0.3 * torch.randn_like(mixer.A_log)
        mixer.C.normal_()
    return mixer


@every_config
def test_the_kernel_is_that_of_a_dense_matrix_discretised_by_exponential_or_solve(config):
    mixer, length = built(config), 50
    kernels = []
    for A, B, C, _, dt in dense_systems(mixer):
        eye = np.eye(len(A))
        if config.discretisation == "zoh":  # exp of [[A, B], [0, 0]] dt holds both
            whole = expm(np.block([[A, B], [np.zeros((1, len(A) + 1))]]) * dt)
            step, write = whole[:-1, :-1], whole[:-1, -1:]
        else:
            inverse = np.linalg.inv(eye - dt / 2 * A)
            step, write = inverse @ (eye + dt / 2 * A), dt * inverse @ B
        kernels.append([(C @ np.linalg.matrix_power(step, n) @ write).item() for n in range(length)])
    impulse_BTD = torch.zeros(1, length, config.d_model, dtype=torch.float64)
    impulse_BTD[:, 0] = 1.0
    wanted_TD = torch.tensor(kernels, dtype=torch.float64).T
    for form in (recurrent, parallel, chunked):
        y_BTD, _ = form(impulse_BTD, mixer.modes(), 0 * mixer.D, mixer.init_state(1).matrix_BDR, 16)
        assert_agrees(y_BTD[0].detach(), wanted_TD, form.__name__)


@every_config
def test_the_whole_mixer_is_scipys_simulation_of_the_system(config):
    mixer, u_BTD = built(config), tokens(config, 40)
    filtered_BTD = torch.empty_like(u_BTD)
    for i, (A, B, C, D, dt) in enumerate(dense_systems(mixer)):
        discrete = cont2discrete((A, B, C, np.array([[0.0]])), dt, method=config.discretisation)
        if (
            config.discretisation == "bilinear"
        ):  # scipy's reads the mean of two states; ours the new one, as S4's code does
            discrete = (*discrete[:2], C, np.array([[0.0]]), dt)
        for b in range(2):
            u = u_BTD[b, :, i].numpy()
            _, states = dlsim((*discrete[:2], np.eye(len(A)), np.zeros((len(A), 1)), dt), np.append(u, 0.0))[1:]
            filtered_BTD[b, :, i] = torch.tensor(states[1:] @ C[0]) + D * u_BTD[b, :, i]
    first_BTD, second_BTD = (gelu(filtered_BTD) @ mixer.out_proj.weight.T).chunk(2, dim=-1)
    for form in FORMS:
        assert_agrees(mixer(u_BTD, form=form)[0].detach(), (first_BTD * second_BTD.sigmoid()).detach(), form)


def test_the_two_discretisations_differ_and_meet_where_steps_are_small():
    kernels = {}
    for step in (0.1, 0.001):
        for name in ("zoh", "bilinear"):
            mixer = S4Mixer(S4Config(d_model=4, d_state=8, discretisation=name)).double()
            with torch.no_grad():
                mixer.log_dt.fill_(math.log(step))
            impulse_BTD = torch.eye(20, dtype=torch.float64)[None, :, :1].expand(1, 20, 4)
            y_BTD, _ = parallel(impulse_BTD, mixer.modes(), 0 * mixer.D, mixer.init_state(1).matrix_BDR)
            kernels[name, step] = y_BTD / step
    large, small = ((kernels["zoh", s] - kernels["bilinear", s]).abs().max().item() for s in (0.1, 0.001))
    assert large > 0.05
    assert small < 1e-3


def test_modes_start_as_published():
    real_R, imag_R = first_modes("lin", 8)
    assert real_R.tolist() == [-0.5] * 4
    assert imag_R.tolist() == pytest.approx([0, math.pi, 2 * math.pi, 3 * math.pi])
    _, imag_R = first_modes("inv", 8)
    assert imag_R.tolist() == pytest.approx([8 / math.pi * (8 / (2 * n + 1) - 1) for n in range(4)])
    assert first_modes("real", 3)[0].tolist() == [-1, -2, -3]


def test_a_fresh_mixer_has_steps_in_their_range_and_keeps_its_own():
    mixer = S4Mixer(S4Config(d_model=256))
    with torch.no_grad():
        mixer.start_own(torch.Generator().manual_seed(0))
    steps_D = mixer.log_dt.exp()
    assert FIRST_STEPS[0] * 0.99 < steps_D.min() < 1.5 * FIRST_STEPS[0]
    assert 0.7 * FIRST_STEPS[1] < steps_D.max() < FIRST_STEPS[1] * 1.01
    assert mixer.C.square().sum(-1).mean().item() == pytest.approx(1.0, rel=0.05)
    assert mixer.own == {name for name, _ in mixer.named_parameters()} - {"out_proj.weight"}


def test_a_complex_state_counts_two_numbers_a_mode():
    assert S4Config(d_model=10, d_state=6).state_size(100).elements == 60
    assert S4Mixer(S4Config(d_model=10, d_state=6)).init_state(1).numel == 60
    assert S4Config(d_model=10, d_state=6).modes == 3
    assert S4Config(d_model=10, d_state=6, start="real").modes == 6


def test_float32_filters_stay_exact_over_long_chunks():
    """Powers come from float64 exponents: products of float32 decays would lose a digit and more."""
    mixer = built(S4Config(d_model=6, d_state=16, chunk=1024))
    single = S4Mixer(mixer.config)
    single.load_state_dict(mixer.state_dict())
    mixer.load_state_dict(single.state_dict())
    x_BTD = tokens(mixer.config, 2048, torch.float32)
    y_BTD, state = single(x_BTD)
    wanted_BTD, wanted = mixer(x_BTD.double())
    assert_agrees(y_BTD.detach(), wanted_BTD.detach().float())
    assert_agrees(state.matrix_BDR.detach(), wanted.matrix_BDR.detach().float())


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"d_state": 5}, 'd_state = 5: pairs of modes make it even; or choose start = "real"'),
        ({"d_state": 0}, "d_state = 0: must be at least 1"),
        ({"chunk": 0}, "chunk = 0: must be at least 1"),
    ],
)
def test_a_mistake_is_told(mistake, message):
    with pytest.raises(ValueError, match=message):
        S4Config(d_model=8, **mistake)
