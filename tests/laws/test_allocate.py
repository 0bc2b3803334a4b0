"""Allocations: closed forms where they exist, limits, inference, alarms."""

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS, fit_law, fit_state
from isostate.laws.allocate import (
    allocate,
    extrapolation,
    frontier,
    memory_bytes,
    training_flops,
    training_seconds,
)
from isostate.laws.approaches import optimum
from isostate.laws.registry import as_fit, published
from isostate.laws.repetition import C4_SINGLE_EPOCH
from tests.laws.planted import PLANTED


def fitted(name, bootstrap=0, sd=0.0):
    law, case = LAWS[name], PLANTED[name]
    y = law.predict(case.values, case.inputs)
    y = y * np.exp(sd * np.random.default_rng(0).normal(size=len(y)))
    return fit_law(law, case.inputs, y, bootstrap=bootstrap, profile_points=0, holdout=None)


def test_the_compute_allocation_is_the_closed_form():
    fit = fitted("chinchilla")
    got = allocate(fit, 1e22)
    N, D = optimum(fit.values, 1e22)
    assert got.amounts["N"].value == pytest.approx(float(N), rel=1e-5)
    assert got.amounts["D"].value == pytest.approx(float(D), rel=1e-5)
    assert not got.alarms


def test_paying_for_inference_obeys_its_condition_and_shrinks_the_model():
    fit, served = fitted("chinchilla"), 2e12
    got = allocate(fit, 1e22, cost=training_flops(served))
    N, D = (got.amounts[symbol].value for symbol in "ND")
    p = fit.values
    ratio = p["alpha"] * p["A"] * N ** -p["alpha"] / (p["beta"] * p["B"] * D ** -p["beta"])
    assert ratio == pytest.approx(1 + served / (3 * D), rel=1e-3)
    plain = allocate(fit, 1e22)
    assert plain.amounts["N"].value > N


# Every law in N and D, what else it needs, and a budget that its planted values can spend sensibly.
OF_N_AND_D = {
    "chinchilla": ({}, 1e22),
    "kaplan": ({}, 1e18),
    "farseer": ({}, 1e20),
    "precision": ({"P": 6.0}, 1e20),
    "repetition": ({"U": 1e9}, 1e21),
    "overtraining": ({}, 1e20),
    "fine-grained": ({"G": 4.0}, 1e21),
}
# Far outside its runs this law's slope in tokens vanishes, and its surface falls again.
LIMITS = {"farseer": {"N": (1e7, 1e10)}}


@pytest.mark.parametrize("served", [0.0, 1e11])
@pytest.mark.parametrize("name", OF_N_AND_D)
def test_every_law_of_parameters_and_tokens_is_split_where_the_last_flop_gains_the_same(name, served):
    # (dL/dlog N) / (dL/dlog D) = (dcost/dlog N) / (dcost/dlog D) = 1 + D_inf / (3 D)
    fixed, budget = OF_N_AND_D[name]
    fit = fitted(name)
    got = allocate(fit, budget, cost=training_flops(served), fixed=fixed, limits=LIMITS.get(name))
    N, D = (got.amounts[symbol].value for symbol in "ND")
    spent = 6 * N * D + 2 * N * served
    assert spent == pytest.approx(budget, rel=1e-6)

    def loss(N, D):
        x = {"N": N, "D": D, "C": 6 * N * D, "M": D / N, **fixed}
        return fit.predict({symbol: np.array([x[symbol]]) for symbol in fit.law.inputs})[0]

    by_N, by_D = loss(N * 1.001, D) - loss(N / 1.001, D), loss(N, D * 1.001) - loss(N, D / 1.001)
    assert by_N / by_D == pytest.approx(1 + served / (3 * D), rel=2e-3)
    assert got.loss.value == pytest.approx(loss(N, D))


def test_closed_forms_of_the_other_laws():
    # Kaplan: N* = (r N_c^r C / (6 D_c))^(1/(1+r)), r = a_N / a_D
    p, C = fitted("kaplan").values, 1e18
    r = p["a_N"] / p["a_D"]
    N = (r * p["N_c"] ** r * C / (6 * p["D_c"])) ** (1 / (1 + r))
    assert allocate(fitted("kaplan"), C).amounts["N"].value == pytest.approx(N, rel=1e-5)
    assert fitted("kaplan").derived["a"].value == pytest.approx(1 / (1 + r))
    # precision: Chinchilla with N (1 - exp(-P / gamma)) parameters
    fit = fitted("precision")
    kept = 1 - np.exp(-6.0 / fit.values["gamma"])
    smaller = {**fit.values, "A": fit.values["A"] * kept ** -fit.values["alpha"]}
    assert allocate(fit, C, fixed={"P": 6.0}).amounts["N"].value == pytest.approx(optimum(smaller, C)[0], rel=1e-5)
    # granularity: Chinchilla with A = g G^-gamma + a
    fit = fitted("fine-grained")
    q = fit.values
    plain = {"A": q["g"] * 4.0 ** -q["gamma"] + q["a"], "B": q["b"], "alpha": q["alpha"], "beta": q["beta"]}
    assert allocate(fit, C, fixed={"G": 4.0}).amounts["N"].value == pytest.approx(optimum(plain, C)[0], rel=1e-5)
    # over-training: M* = (b / a)^(1 / (2 eta)) at every C
    fit = fitted("overtraining")
    for budget in (1e19, 1e21):
        amounts = allocate(fit, budget).amounts
        assert amounts["D"].value / amounts["N"].value == pytest.approx(fit.derived["M_best"].value, rel=1e-4)
    # repetition: with more unique tokens than it wants, the single-epoch optimum
    amounts = allocate(fitted("repetition"), 1e19, fixed={"U": 1e14}).amounts
    assert amounts["N"].value == pytest.approx(optimum(C4_SINGLE_EPOCH, 1e19)[0], rel=1e-4)


def test_scarce_tokens_favour_epochs_over_parameters():
    # Muennighoff et al. 2023, section 5: R_N* < R_D*, excess parameters lose their value sooner than repeated tokens
    scarce, plenty = (allocate(fitted("repetition"), 1e21, fixed={"U": U}).amounts for U in (1e9, 1e13))
    assert scarce["N"].value < plenty["N"].value
    assert scarce["D"].value > plenty["D"].value


def test_state_and_parameters_share_a_memory():
    fit = fitted("state-params")
    got = allocate(fit, 1e9, cost=memory_bytes(2.0, 2.0, 64), pair=("N", "S"))
    N, S = got.amounts["N"].value, got.amounts["S"].value
    spent = 2 * N + 2 * 64 * S
    assert spent == pytest.approx(1e9, rel=1e-6)
    p = fit.values
    by_byte = p["alpha"] * p["A"] * N ** (-p["alpha"] - 1) / 2, p["beta"] * p["B"] * S ** (-p["beta"] - 1) / 128
    assert by_byte[0] == pytest.approx(by_byte[1], rel=1e-3)


def test_intervals_come_from_the_draws_and_a_frontier_grows():
    fit = fitted("chinchilla", bootstrap=200, sd=0.005)
    steps = frontier(fit, [1e20, 1e21, 1e22])
    for step in steps:
        assert step.amounts["N"].low < step.amounts["N"].value < step.amounts["N"].high
        assert step.loss.low < step.loss.value < step.loss.high
    assert steps[0].loss.value > steps[1].loss.value > steps[2].loss.value


def test_limits_bind_and_extrapolation_alarms():
    fit = fitted("chinchilla")
    limited = allocate(fit, 1e22, limits={"N": (1e6, 1e9)})
    assert limited.amounts["N"].value == pytest.approx(1e9, rel=1e-3)
    assert any("on its limit" in alarm for alarm in limited.alarms)
    far = allocate(fit, 1e26)
    assert any("extrapolating: N" in alarm for alarm in far.alarms)


def test_what_cannot_be_allocated_is_told_in_one_line():
    with pytest.raises(UserError, match="not a positive number"):
        allocate(fitted("chinchilla"), -1.0)
    with pytest.raises(UserError, match="also needs P"):
        allocate(fitted("precision"), 1e22)


def test_hours_on_hardware_are_its_achieved_flops():
    fit = fitted("chinchilla")
    by_time = allocate(fit, 1000 * 3600.0, cost=training_seconds(4e14))
    by_compute = allocate(fit, 1000 * 3600.0 * 4e14)
    assert by_time.amounts["N"].value == pytest.approx(by_compute.amounts["N"].value, rel=1e-6)
    served = allocate(fit, 1000 * 3600.0, cost=training_seconds(4e14, 2e12))
    assert served.amounts["N"].value < by_time.amounts["N"].value


def test_a_budget_that_buys_nothing_within_the_limits_is_told():
    with pytest.raises(UserError, match="buys nothing with N from 1e"):
        allocate(fitted("chinchilla"), 1e20, limits={"N": (1e9, 1e12), "D": (1e12, 1e13)})


def test_a_limit_beyond_all_floats_is_no_warning():
    assert allocate(fitted("chinchilla"), 1e22, limits={"N": (1.0, 1e300)}).loss.value > 1.8


def test_values_without_points_say_that_nobody_knows_how_far_they_extrapolate():
    (alarm,) = extrapolation(as_fit(published("epoch-chinchilla")), {"N": 1e9})
    assert "is not known" in alarm


def test_extrapolation_is_told_for_fits_of_one_resource_too():
    sizes = np.geomspace(1e3, 1e5, 6)
    fit = fit_state(sizes, 1.5 + 20 * sizes**-0.5)
    assert extrapolation(fit, {"S": 2e5}) == []
    assert "10.0 times the largest" in extrapolation(fit, {"S": 1e6})[0]
    assert "far below the smallest" in extrapolation(fit, {"S": 10.0})[0]
