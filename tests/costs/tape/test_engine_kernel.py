"""The engine's own kernel on a tape: where it runs, and the scratch memory that it asks for, of one thread or many."""

from __future__ import annotations

import pytest
import torch

from isostate.costs import training_memory
from isostate.costs.tape.engine_kernel import runs_engine, scratch_elements
from isostate.mixers import engine_kernel
from isostate.mixers.feature_maps import linear_map
from isostate.mixers.power import PowerConfig
from tests.model.options import config_of


@pytest.mark.parametrize("chunk", [1, 17, 128])
@pytest.mark.parametrize("degree", [1, 2, 4])
def test_scratch_is_what_the_kernel_asks_for(degree, chunk):
    feature_map = PowerConfig(d_model=16, head_dim=8, degree=degree).feature_map if degree > 1 else linear_map(8)
    asked = engine_kernel.scratch_elements(feature_map, 8, chunk, torch.float32)
    assert tuple(scratch_elements(feature_map, 8, chunk, back) for back in (False, True)) == asked


def test_it_runs_in_single_precision_alone():
    assert runs_engine("own", 4)
    assert not runs_engine("own", 2)
    assert not runs_engine("torch", 4)


def test_more_threads_take_more_scratch():
    config = config_of(PowerConfig(d_model=16, head_dim=8, chunk=256))
    one, four = (training_memory(config, 1, 256, n_threads=n, kernels="own").step for n in (1, 4))
    scratch = [4 * n * scratch_elements(config.mixer.feature_map, 8, 256, True) for n in (1, 4)]
    assert scratch[1] < four < one + scratch[1]
    assert four > one
