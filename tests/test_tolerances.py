"""The comparison that other tests trust: it can fail."""

import pytest
import torch

from tests.tolerances import TOLERANCES, assert_agrees, relative_error


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
def test_it_allows_the_tables_error_and_no_more(dtype):
    # In float64 the error can be placed at will; the wanted maximum is 4, so that relative differs from absolute.
    want = torch.tensor([4.0, 0.0, -1.0], dtype=torch.float64)
    for share, within in [(0.99, True), (1.01, False)]:
        got = want + torch.tensor([0.0, 4 * TOLERANCES[dtype] * share, 0.0], dtype=torch.float64)
        assert (relative_error(got, want) <= TOLERANCES[dtype]) == within


def test_it_refuses_a_difference():
    with pytest.raises(AssertionError, match="grad of k: relative error"):
        assert_agrees(torch.ones(3) * 1.001, torch.ones(3), "grad of k")


def test_it_refuses_another_shape_that_would_broadcast():
    with pytest.raises(AssertionError, match="shapes differ"):
        assert_agrees(torch.ones(3, 1), torch.ones(3))


def test_it_refuses_another_dtype():
    with pytest.raises(AssertionError, match="dtypes differ"):
        assert_agrees(torch.ones(3).double(), torch.ones(3))


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_it_refuses_what_is_not_finite(value):
    with pytest.raises(AssertionError, match="not finite"):
        assert_agrees(torch.tensor([value]), torch.ones(1))
    with pytest.raises(AssertionError, match="not finite"):
        assert_agrees(torch.tensor([value]), torch.tensor([value]))


def test_where_zero_is_wanted_the_error_is_absolute():
    assert relative_error(torch.full((2,), 0.5), torch.zeros(2)) == 0.5
    assert_agrees(torch.zeros(2), torch.zeros(2))
    assert_agrees(torch.zeros(0, 2), torch.zeros(0, 2))
