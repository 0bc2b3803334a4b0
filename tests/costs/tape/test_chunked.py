"""The engine's chunked form is told group by group of chunks, forward; any map, any number of groups."""

from __future__ import annotations

import pytest

from isostate.costs.tape import chunks
from isostate.costs.tape.chunked import chunked
from isostate.costs.tape.chunks import Chunks
from isostate.costs.tape.tape import Tape
from isostate.mixers.power import PowerConfig
from isostate.mixers.taylor import TaylorConfig
from tests.costs.tape.mixing import assert_told

MAPS = {
    "power-1": PowerConfig(d_model=24, n_heads=4, degree=1, normaliser="none", chunk=8),
    "power-2": PowerConfig(d_model=24, n_heads=4, degree=2, chunk=8),
    "power-3": PowerConfig(d_model=24, n_heads=4, degree=3, normaliser="none", gate="head", chunk=8),
    "power-4": PowerConfig(d_model=24, n_heads=4, degree=4, positions="alibi", chunk=8),
    "power-6": PowerConfig(d_model=12, n_heads=4, degree=6, chunk=8),
    "taylor-2": TaylorConfig(d_model=24, n_heads=4, order=2, gate="head", chunk=8),
    "taylor-3": TaylorConfig(d_model=24, n_heads=4, order=3, normaliser="none", chunk=8),
    "taylor-4": TaylorConfig(d_model=24, n_heads=4, order=4, chunk=8),
}


@pytest.mark.parametrize("elements", [1, 9_000, 2**20])
@pytest.mark.parametrize("context", [44, 64])
@pytest.mark.parametrize("name", MAPS)
def test_groups_of_one_of_some_and_of_all_chunks_are_told(name, context, elements, monkeypatch):
    monkeypatch.setattr(chunks, "ALIKE", 10**9)
    monkeypatch.setattr(chunks.chunks, "GROUP_ELEMENTS", elements)
    assert_told(MAPS[name], 2, context)


def test_the_states_between_chunks_and_the_undivided_reading_are_kept():
    sizes = Chunks.of(MAPS["power-2"], 2, 44)
    tape = Tape(4)
    q, k, v = (tape.value(2 * 4 * 44 * size, name) for size, name in ((6, "q"), (6, "k"), (7, "v")))
    y, last = chunked(tape, sizes, q, k, v, None)
    kept = {storage.name: storage.nbytes for storage in tape.kept}
    P, V = 21, 7
    assert kept["states between chunks"] == 4 * 2 * 4 * (6 + 1) * P * V
    assert kept["undivided reading"] == 4 * 2 * 4 * 6 * 8 * V
    assert list(kept)[:3] == ["q", "k", "v"]
    assert (y.size, last.nbytes) == (2 * 4 * 44 * 6, 4 * 2 * 4 * P * V)
