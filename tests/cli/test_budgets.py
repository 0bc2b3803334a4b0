"""isostate.cli.budgets."""

from __future__ import annotations

import pytest

from isostate.cli.budgets import DOUBTS, Paid, budget_of, fixed_of, limits_of
from isostate.config import UserError
from isostate.laws import LAWS

LAW = LAWS["chinchilla"]


def test_each_kind_of_budget_has_its_own_cost():
    compute = budget_of(Paid(compute="1e23,1e24", inference_tokens="1e12"), LAW)
    assert compute.amounts == (1e23, 1e24)
    assert compute.cost(2.0, 3.0) == 6 * 2 * 3 + 2 * 2 * 1e12
    time = budget_of(Paid(hours="10", flops_per_s="4e14"), LAW)
    assert time.amounts == (36_000.0,)
    assert time.cost(2e9, 3e10) == pytest.approx(6 * 2e9 * 3e10 / 4e14)
    assert time.shown == ("10 h",)
    memory = budget_of(Paid(memory_bytes="80e9", bytes_per_param="1", sequences="64"), LAWS["state-params"])
    assert memory.pair == ("N", "S")
    assert memory.cost(5.0, 7.0) == 5 + 2 * 64 * 7


@pytest.mark.parametrize(
    "paid, law, message",
    [
        (Paid(), "chinchilla", "give one budget"),
        (Paid(compute="1e20", hours="1"), "chinchilla", "give one budget"),
        (Paid(inference_tokens="1e9"), "chinchilla", "give one budget"),
        (Paid(hours="1"), "chinchilla", "--hours needs --flops-per-s"),
        (Paid(compute="1e20", flops_per_s="1e14"), "chinchilla", "--flops-per-s does not go with --compute"),
        (Paid(memory_bytes="1e9", inference_tokens="1"), "state-params", "does not go with --memory-bytes"),
        (Paid(compute="1e20", sequences="2"), "chinchilla", "--sequences does not go with --compute"),
        (Paid(memory_bytes="1e9"), "chinchilla", "buys N and S, but law 'chinchilla' takes N, D"),
        (Paid(compute="1e20"), "kaplan-steps", "buys N and D, but law 'kaplan-steps' takes N, steps"),
        (Paid(memory_bytes="1e9", sequences="1.5"), "state-params", "must be a whole number"),
        (Paid(compute="much"), "chinchilla", "--compute: 'much' is not a number"),
    ],
)
def test_a_budget_that_cannot_be_is_told(paid, law, message):
    with pytest.raises(UserError, match=message):
        budget_of(paid, LAWS[law])


def test_limits_and_what_is_fixed_are_called_by_symbol_or_column():
    budget = budget_of(Paid(compute="1e22"), LAW)
    assert limits_of(LAW, budget, "n_params=7e9,D=1e13", "N=1e8") == {"N": (1e8, 7e9), "D": (1.0, 1e13)}
    law = LAWS["precision"]
    assert fixed_of(law, budget_of(Paid(compute="1e22"), law), "bits=8") == {"P": 8.0}


@pytest.mark.parametrize(
    "law, most, least, at, message",
    [
        ("chinchilla", "S=3", None, None, "has no input 'S'"),
        ("precision", "P=3", None, "P=8", "the budget buys N and D"),
        ("chinchilla", "N=1e8", "N=1e9", None, "nothing between"),
        ("chinchilla", None, None, "N=1e9", "N is what the budget buys"),
        ("precision", None, None, None, "also needs P .bits a weight.; give it by --at P=VALUE"),
    ],
)
def test_limits_that_cannot_be_are_told(law, most, least, at, message):
    budget = budget_of(Paid(compute="1e22"), LAWS[law])
    with pytest.raises(UserError, match=message):
        (limits_of(LAWS[law], budget, most, least), fixed_of(LAWS[law], budget, at))


def test_doubts_are_about_laws_that_there_are():
    assert set(DOUBTS) <= set(LAWS)
