"""S4's step: both discretisations and every start, states of any number."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers.s4 import S4Config
from tests.mixers.steps.running import assert_steps_equal_the_recurrent_form, by_kernel_and_by_torch


@by_kernel_and_by_torch
@pytest.mark.parametrize("start", ["lin", "inv", "real"])
@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
def test_every_start_and_discretisation(start, discretisation, kernels, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", kernels)
    for states in (2, 20):
        config = S4Config(d_model=7, d_state=states, start=start, discretisation=discretisation, bias="all")
        assert_steps_equal_the_recurrent_form(config, torch.float64)
