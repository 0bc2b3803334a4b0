"""Mamba-2's step: groups, limits of its step sizes, and the norm over each group's heads."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers.mamba2 import Mamba2Config
from tests.mixers.steps.running import assert_steps_equal_the_recurrent_form, by_kernel_and_by_torch


@by_kernel_and_by_torch
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_heads_of_a_group_share_queries_and_keys(groups, kernels, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", kernels)
    config = Mamba2Config(d_model=16, n_heads=4, d_state=6, n_groups=groups, step_limits=(0.02, 0.5), bias="all")
    assert_steps_equal_the_recurrent_form(config, torch.float64)
