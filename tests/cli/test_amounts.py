"""isostate.cli.amounts."""

from __future__ import annotations

import pytest

from isostate.cli.amounts import amounts_of, axes_of, number_of, numbers_of
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
