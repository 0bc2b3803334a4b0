"""Sizes of chunks on the tape are the engine's; groups leave out the middle; copies are made where torch makes them."""

from __future__ import annotations

import pytest
import torch

from isostate.costs.tape import chunks
from isostate.costs.tape.chunks import Chunks, Variables, decays, monomials, n_monomials, power, similarity, told
from isostate.costs.tape.tape import Tape
from isostate.mixers.chunks import Layout
from isostate.mixers.feature_maps import monomial_indices
from isostate.mixers.linear_family import LinearFamilyConfig
from tests.mixers.cases import CASES, name_of

ENGINE = [case for case in CASES if isinstance(case, LinearFamilyConfig)]


@pytest.mark.parametrize("config", ENGINE, ids=name_of)
@pytest.mark.parametrize("context", [1, 50, 128, 1000])
def test_sizes_are_those_of_the_engines_layout(config, context, monkeypatch):
    monkeypatch.setattr(chunks, "ALIKE", 10**9)
    sizes = Chunks.of(config, 3, context)
    q = torch.empty(3, config.n_heads, context, config.head_dim)
    v = torch.empty(3, config.n_heads, context, config.head_dim + (config.normaliser == "sum"))
    layout = Layout.of(q, v, config.feature_map, sizes.chunk)
    assert (sizes.n_chunks, sizes.P, sizes.V, sizes.rows) == (layout.N, layout.P, layout.V, layout.B * layout.H)
    assert sizes.groups() == layout.groups()
    assert sizes.padded == (layout.N * layout.chunk > context)


def test_many_groups_are_told_from_either_end(monkeypatch):
    config = ENGINE[0]
    monkeypatch.setattr(chunks.chunks, "GROUP_ELEMENTS", 1)
    sizes = Chunks.of(config, 3, 16 * 10)
    assert sizes.groups() == [(0, 1), (1, 2), (9, 10)]
    assert [told(n) for n in (1, 2, 3, 100)] == [1, 2, 3, 3]
    monkeypatch.setattr(chunks.chunks, "GROUP_ELEMENTS", 2 * 6 * 16 * 16)
    assert Chunks.of(config, 3, 16 * 11).groups() == [(0, 2), (2, 4), (8, 10), (10, 11)], "the last one is smaller"


@pytest.mark.parametrize("n", range(1, 6))
def test_chunks_of_a_slice_are_copied_where_torch_copies(n):
    sizes = Chunks.of(ENGINE[0], 3, 16 * 5)
    x_BHNKC = torch.empty(3, 2, 5, 8, 16)
    part = x_BHNKC[:, :, :n]
    assert sizes.copies(n) == (part.flatten(0, 2).data_ptr() != x_BHNKC.data_ptr())


@pytest.mark.parametrize("n", [1, 3, 5])
@pytest.mark.parametrize("batch", [1, 3])
def test_values_as_they_are_projected_are_copied_where_torch_copies(batch, n):
    raw = next(case for case in ENGINE if case.normaliser == "none" and case.n_heads == 2)
    sizes = Chunks.of(raw.model_copy(update={"chunk": 16}), batch, 16 * 5)
    projected_BTW = torch.empty(batch, 80, 3 * 16)
    v_BHTV = projected_BTW[..., 32:].unflatten(-1, (2, 8)).transpose(1, 2)
    v_BHNCV = v_BHTV.reshape(batch, 2, 5, 16, 8)
    assert v_BHNCV.data_ptr() == v_BHTV.data_ptr()
    assert sizes.strided_copies(n) == (v_BHNCV[:, :, :n].flatten(0, 2).data_ptr() != v_BHTV.data_ptr())


def test_monomials_are_as_many_as_their_indices():
    assert [n_monomials(5, degree) for degree in range(1, 5)] == [
        len(monomial_indices(5, degree)) for degree in range(1, 5)
    ]


def test_variables_let_go_of_what_they_held():
    tape = Tape(4)
    local = Variables(tape)
    local.new("a", 10)
    local.new("a", 20)
    assert (tape.live, tape.peak) == (80, 120), "the new one comes before the old one goes"
    local.let("a", None)
    local.new("b", 1, 8)
    assert tape.live == 8
    local.gone()
    assert (tape.live, dict(local)) == (0, {})


@pytest.mark.parametrize("exponent, made", [(0, 1), (1, 0), (2, 1), (3, 2), (4, 2), (6, 3)])
def test_powers_are_made_by_squaring(exponent, made):
    tape = Tape(4, log=[])
    scores = tape.new(10, "scores")
    result = power(tape, scores, 10, exponent)
    assert sum(sign > 0 for _, sign in tape.log) - 1 == made
    tape.free(scores, result)
    assert tape.live == 0


@pytest.mark.parametrize("config", ENGINE, ids=name_of)
def test_what_is_passing_is_freed(config):
    sizes = Chunks.of(config, 3, 50)
    tape = Tape(4)
    local = Variables(tape)
    decays(tape, local, sizes)
    result = monomials(tape, sizes, 1)
    weights = similarity(tape, sizes, tape.new(99, "scores"), 99)
    local.gone()
    tape.free(weights, *([result] if result else []))
    assert tape.live == 0
