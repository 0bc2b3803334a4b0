"""Our own attention on a tape: the scratch memory that the kernel asks for, and where it runs at all."""

from __future__ import annotations

import ctypes

import pytest
import torch

from isostate.costs.tape.attention_kernel import runs_attention, scratch_elements
from isostate.mixers import fused
from isostate.mixers.native import library
from isostate.mixers.softmax import SoftmaxConfig
from isostate.mixers.window import WindowConfig


@pytest.mark.parametrize("n_keys", [1, 8, 17, 100, 128, 1000])
def test_scratch_is_what_the_kernel_asks_for(n_keys):
    kernel = library(fused.SOURCE, torch.float32)
    assert kernel is not None
    kernel.scratch_elements.restype = ctypes.c_long
    for size in (1, 8, 9, 64, 100, 256):
        x = torch.zeros(1, 2, n_keys, size)
        problem = fused._problem(x, x, None, None, None, q=x, k=x, v=x, y=x)
        for is_backward in (False, True):
            asked = kernel.scratch_elements(ctypes.byref(problem), int(is_backward))
            assert scratch_elements(n_keys, size, is_backward) == asked


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "changes", [{}, {"attention_dropout": 0.1}, {"score_cap": 2.0}, {"n_heads": 1, "head_dim": 257}, {"n_kv_heads": 1}]
)
def test_it_runs_what_the_mixers_give_it(changes, dtype):
    config = SoftmaxConfig(**({"d_model": 32, "n_heads": 4} | changes))
    q, k = (torch.zeros(1, n, 8, config.head_dim, dtype=dtype) for n in (config.n_heads, config.n_kv_heads))
    runs = config.score_cap is None and fused.fuses(q, k, k, config.attention_dropout)
    assert runs_attention(config, "own", dtype.itemsize) == runs
    assert not runs_attention(config, "torch", dtype.itemsize)


def test_sinks_are_left_to_torch():
    assert runs_attention(WindowConfig(d_model=32, window=8), "own", 4)
    assert not runs_attention(WindowConfig(d_model=32, window=8, sinks=1), "own", 4)
