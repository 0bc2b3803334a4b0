"""Mamba is told as it runs: any batch, chunks that divide the context or not, biases, one tap more than none."""

from __future__ import annotations

import pytest

from isostate.mixers.mamba import MambaConfig
from tests.costs.tape.mixing import assert_told

CONFIGS = {
    "plain": {},
    "biased": {"bias": "all", "conv_bias": False, "conv_taps": 2},
    "more units than one": {"expand": 5},
}


@pytest.mark.parametrize("context", [1, 64, 100])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_allocation_is_told(name, batch, context):
    assert_told(MambaConfig(d_model=32, d_state=6, **CONFIGS[name]), batch, context)


def test_other_forms_are_not_told():
    with pytest.raises(AssertionError, match="the tape tells no parallel form of mamba"):
        assert_told(MambaConfig(d_model=32), 1, 16, "parallel")
