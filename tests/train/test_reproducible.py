"""The process's own settings inside the block, and none of them after it."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from isostate.config import UserError
from isostate.train import reproducible


def settings() -> tuple[int, bool, bool]:
    fills = torch.utils.deterministic.fill_uninitialized_memory
    return torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), fills


def test_inside_it_is_as_asked_and_afterwards_as_before():
    before, generator = settings(), torch.get_rng_state()
    with reproducible(threads=2, seed=1):
        assert settings() == (2, True, False)
    assert settings() == before
    assert torch.equal(torch.get_rng_state(), generator)


def test_what_rises_inside_leaves_nothing_changed():
    before = settings()
    with pytest.raises(UserError), reproducible(threads=2, seed=1):
        raise UserError("")
    assert settings() == before


def test_equal_seeds_draw_equal_numbers():
    drawn = []
    for seed in (1, 1, 2):
        with reproducible(threads=1, seed=seed):
            drawn.append(torch.rand(4))
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_training_imports_no_compiler():
    """It takes seconds, in every worker; several of torch's ordinary functions bring it along."""
    code = (
        "import sys, torch; from isostate.train import AdamW, reproducible\n"
        "with reproducible(1, 0):\n"
        "    weight = torch.nn.Parameter(torch.ones(3))\n"
        "    optimizer = AdamW({'weight': weight}, {}, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)\n"
        "    weight.sum().backward(); optimizer.step(0.1)\n"
        "assert weight[0] < 1\n"
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
