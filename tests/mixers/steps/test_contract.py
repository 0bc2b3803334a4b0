"""Every mixer has a step; what depends on the position alone is made once for all layers."""

from __future__ import annotations

import pytest
import torch

from isostate.config import UserError
from isostate.mixers import MIXERS
from isostate.mixers.rotary import PLAIN, RotaryConfig, rotate
from isostate.mixers.steps import STEPS, Position
from isostate.mixers.steps.contract import check_batch, scalar
from tests.mixers.cases import CASES, name_of
from tests.mixers.steps.running import (
    assert_allocates_nothing,
    assert_steps_equal_the_recurrent_form,
    by_kernel_and_by_torch,
)

every_case = pytest.mark.parametrize("config", CASES, ids=name_of)


def test_every_mixer_has_a_step():
    assert STEPS.keys() == MIXERS.keys()


@every_case
@by_kernel_and_by_torch
def test_a_step_equals_the_recurrent_form(config, kernels, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", kernels)
    assert_steps_equal_the_recurrent_form(config, torch.float64)


@every_case
def test_in_single_precision_a_step_is_as_near_to_the_truth_as_the_definition(config):
    assert_steps_equal_the_recurrent_form(config, torch.float32)


@every_case
@by_kernel_and_by_torch
def test_a_step_allocates_nothing(config, kernels, monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", kernels)
    assert_allocates_nothing(config)


def test_angles_are_those_of_the_ordinary_rotation_at_any_position():
    yarn = RotaryConfig(scaling="yarn", factor=4.0, trained_context=64)
    position = Position(torch.zeros(1, dtype=torch.float64))
    for rotary in (PLAIN, yarn, PLAIN):
        cos_K, sin_K = position.rotation(rotary, 6)
        for now in (0, 1, 65_535):
            position.now = now
            position.begin()
            one = torch.zeros(1, 1, 1, 6, dtype=torch.float64)
            one[..., :3] = 1.0
            turned = rotate(one, now, rotary)[0, 0, 0]
            assert torch.equal(cos_K, turned[:3])
            assert torch.equal(sin_K, turned[3:])
    assert len(position._turns) == 2, "layers that turn alike share their angles"


def test_a_number_has_the_precision_of_what_it_meets():
    assert scalar(0.5, torch.zeros(1, dtype=torch.float64)).dtype == torch.float64
    assert scalar(0.5, torch.zeros(1)).shape == ()


def test_another_batch_is_refused_in_one_line():
    check_batch("tokens", torch.zeros(2), 2)
    with pytest.raises(UserError, match=r"^tokens of 3 sequences: this decoder steps 2; make one of that batch$"):
        check_batch("tokens", torch.zeros(3), 2)
