"""Mamba's step: steps so long that all is forgotten, and a state that is more than one vector of channels."""

from __future__ import annotations

import torch

from isostate.mixers.mamba import MambaConfig
from tests.mixers.runs import build
from tests.mixers.steps.running import assert_steps_equal_the_recurrent_form, by_kernel_and_by_torch, prepared, run


@by_kernel_and_by_torch
def test_states_of_any_number_are_scanned(kernels, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", kernels)
    for states in (1, 16, 19):
        assert_steps_equal_the_recurrent_form(MambaConfig(d_model=24, d_state=states), torch.float64)


@by_kernel_and_by_torch
def test_a_long_step_forgets_without_a_nan(kernels, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", kernels)
    mixer = build(MambaConfig(d_model=8, d_state=4), torch.float32)
    with torch.no_grad():
        mixer.dt_proj.bias.fill_(1e5)
    step = prepared(mixer)
    for y_BD in run(step, torch.ones(2, 3, 8)):
        assert y_BD.isfinite().all()
    assert step.matrix_BIR.isfinite().all()
