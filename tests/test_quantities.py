"""Plain numbers with units: they add, they scale, they do not change."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isostate.quantities import Cost, Operator, ParamCount, StateSize

counts = st.integers(0, 10**15)
costs = st.builds(Cost, counts, counts, counts)
parts = st.dictionaries(st.sampled_from(["keys", "values", "matrix", "normaliser"]), counts)
states = st.builds(StateSize, parts)


def test_a_cost_keeps_its_three_kinds_apart():
    total = Cost(matmul_flops=6, other_flops=3, moved_bytes=8) + Cost(matmul_flops=10, other_flops=1, moved_bytes=4)
    assert total == Cost(matmul_flops=16, other_flops=4, moved_bytes=12)
    assert total.total_flops == 20  # bytes are no FLOPs


def test_an_operators_total_is_its_cost_as_often_as_it_runs():
    assert Operator("scores", Cost(6, 3, 8), times=12).total == Cost(72, 36, 96)


@given(costs, costs, st.integers(0, 100))
def test_costs_scale_as_repeated_sums(one, other, times):
    assert sum([one] * times, Cost()) == one * times == times * one
    assert (one + other) * times == one * times + other * times
    assert one + other == other + one


@given(states, states, st.integers(0, 100))
def test_states_scale_as_repeated_sums(one, other, times):
    assert (one + other).elements == one.elements + other.elements
    assert (one * times).elements == (times * one).elements == one.elements * times
    assert (one * times).parts.keys() == one.parts.keys()


def test_a_state_adds_part_by_part():
    softmax = StateSize({"keys": 8, "values": 8})
    both = softmax + StateSize({"values": 2, "convolution": 3})
    assert both.parts == {"keys": 8, "values": 10, "convolution": 3}
    assert softmax.parts == {"keys": 8, "values": 8}  # adding changed neither


def test_a_state_in_bytes_is_its_elements_times_their_size():
    assert StateSize({"matrix": 10}).state_bytes == 40
    assert StateSize({"matrix": 10}, bytes_per_element=2).state_bytes == 20
    assert (StateSize({"matrix": 10}, bytes_per_element=2) * 3).state_bytes == 60


def test_states_of_two_dtypes_do_not_add():
    with pytest.raises(AssertionError, match="share a dtype"):
        StateSize({"keys": 1}, bytes_per_element=4) + StateSize({"keys": 1}, bytes_per_element=2)


def test_parameters_total_what_is_embedding_and_what_is_not():
    assert ParamCount(embedding=3, non_embedding=4).total == 7


@pytest.mark.parametrize(
    ("quantity", "field"), [(Cost(1), "matmul_flops"), (StateSize({"keys": 1}), "parts"), (ParamCount(1), "embedding")]
)
def test_a_quantity_does_not_change(quantity, field):
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(quantity, field, 0)
