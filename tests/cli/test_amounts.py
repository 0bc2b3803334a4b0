"""isostate.cli.amounts."""

from __future__ import annotations

import pytest

from isostate.cli.amounts import amounts_of, axes_of, doubled, number_of, numbers_of, size_of
from isostate.config import UserError


def test_numbers_and_amounts_are_read():
    assert numbers_of("1e23, 2.5e24", "--compute") == (1e23, 2.5e24)
    assert amounts_of("N=7e9, D = 1.4e12", "--max") == {"N": 7e9, "D": 1.4e12}
    assert amounts_of(None, "--max") == {}


def test_a_grid_is_even_in_the_logarithm_and_ends_where_it_was_told():
    axes = axes_of("N=1e8:1e10:5,D=2e10", "--candidates")
    assert axes["N"] == pytest.approx([1e8, 10**8.5, 1e9, 10**9.5, 1e10], rel=1e-12)
    assert axes["N"][0] == 1e8
    assert axes["N"][-1] == 1e10
    assert axes["D"] == [2e10]


@pytest.mark.parametrize("text", ["", "1e23,", "many", "nan", "inf", "0", "-1", "1e400"])
def test_what_is_no_amount_is_told_with_its_option(text):
    with pytest.raises(UserError, match="--compute: "):
        numbers_of(text, "--compute")


@pytest.mark.parametrize("text", ["", "N", "N=", "=3", "N=7e9,", "N=1,N=2", "N=x"])
def test_what_names_no_amount_is_told(text):
    with pytest.raises(UserError, match="--max"):
        amounts_of(text, "--max")


@pytest.mark.parametrize("grid", ["1:2", "1:2:3:4", "2:1:3", "1:1:3", "1:2:1", "1:2:2.5", "1:2:1001", "0:2:3", "1:x:3"])
def test_what_is_no_grid_is_told(grid):
    with pytest.raises(UserError, match="--candidates: "):
        axes_of(f"N={grid}", "--candidates")


def test_a_number_is_one():
    assert number_of("4e14", "--flops-per-s") == 4e14


@pytest.mark.parametrize("text, size", [("4096", 4096), ("32k", 32_768), ("1M", 2**20), ("0.5K", 512), (" 2g ", 2**31)])
def test_sizes_are_in_units_of_1024(text, size):
    assert size_of(text, "--context") == size


@pytest.mark.parametrize("text", ["", "k", "1.5", "0", "-1k", "1kk", "1e400", "many"])
def test_what_is_no_size_is_told(text):
    with pytest.raises(UserError, match="--context: "):
        size_of(text, "--context")


def test_a_range_doubles_and_ends_where_it_was_told():
    assert doubled("1k..8k", "--sweep") == [1024, 2048, 4096, 8192]
    assert doubled("3..20", "--sweep") == [3, 6, 12, 20]
    assert doubled("7..7", "--sweep") == [7]


@pytest.mark.parametrize("text", ["1k", "1k..", "..1k", "2k..1k", "a..b", "0..4"])
def test_what_is_no_range_is_told(text):
    with pytest.raises(UserError, match="--sweep: "):
        doubled(text, "--sweep")
