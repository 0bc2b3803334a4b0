"""The engine's backward is told to its worst moment, which a step of the engine has there and nowhere else."""

from __future__ import annotations

import pytest

from isostate.costs.tape import chunked_backward, training_step
from isostate.costs.tape.chunks import Chunks, monomials
from isostate.costs.tape.tape import Tape
from tests.costs.tape.test_chunked import MAPS
from tests.model.options import config_of


@pytest.mark.parametrize("name", ["power-2", "power-4", "taylor-4"])
def test_the_worst_moment_of_a_step_is_in_the_engines_backward(name):
    step = training_step(config_of(MAPS[name]), 2, 256, logged=True, kernels="torch")
    names = {storage.name for storage in step.alive_at_peak()}
    assert {"states between chunks", "undivided reading", "dr", "dq", "dk", "dv", "carry"} <= names
    assert "logits of a piece" not in names


def test_a_gradient_of_monomials_comes_back_to_the_variables_degree_by_degree():
    sizes = Chunks.of(MAPS["power-4"], 2, 64)
    tape = Tape(4, log=[])
    result = chunked_backward.monomials_backward(tape, sizes, 2)
    assert result.nbytes == tape.live == 4 * sizes.rows * 2 * sizes.K * sizes.chunk
    names = [storage.name for storage, sign in tape.log if sign > 0]
    assert [name for name in names if name.startswith("gradient of degree")] == [
        f"gradient of degree {degree}" for degree in (3, 2, 1)
    ]


def test_a_map_of_degree_one_is_its_own_gradient():
    sizes = Chunks.of(MAPS["power-1"], 2, 64)
    tape = Tape(4, log=[])
    assert monomials(tape, sizes, 2) is None
    chunked_backward.monomials_backward(tape, sizes, 2)
    assert not any("degree 2" in storage.name for storage, _ in tape.log)
