"""An update on a device of the table: a roofline's three forwards."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.costs import train_step_cost
from isostate.costs.accelerator import predicted_step_s
from isostate.model import ModelConfig

A100_BF16 = 312e12  # FLOPs a second, NVIDIA's data sheet


def model(d_model: int, **mixer) -> ModelConfig:
    values = {"vocab_size": 1024, "n_layers": 4, "d_model": d_model, "mixer": {"kind": "softmax", **mixer}}
    return ModelConfig.parse(values, "test")


def test_a_wide_model_is_bound_by_its_matrix_products():
    ideal = train_step_cost(model(8192), 64, 256).matmul_flops / A100_BF16
    assert 1.2 < predicted_step_s(model(8192), 64, 256, "a100-80-sxm") / ideal < 2.2  # 0.87 x 0.8 of the peak


def test_a_narrow_one_is_bound_by_its_memory():
    ideal = train_step_cost(model(64), 4, 256).matmul_flops / A100_BF16
    assert predicted_step_s(model(64), 4, 256, "a100-80-sxm") > 3 * ideal


def test_more_state_and_more_tokens_take_longer():
    small, large = (model(64, kind="power", degree=2, head_dim=size) for size in (4, 32))
    times = [predicted_step_s(one, 4, 256, "a100-80-sxm") for one in (small, large)]
    assert times[0] < times[1] < predicted_step_s(large, 8, 256, "a100-80-sxm")


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(UserError, match="no hardware 'a101'"):
        predicted_step_s(model(64), 4, 256, "a101")
