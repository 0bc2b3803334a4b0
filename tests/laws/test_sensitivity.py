"""The sensitivity matrix, and the audit of values that were never an optimum."""

import numpy as np
import pytest
from scipy.optimize import minimize

from isostate.laws import LAWS, OBJECTIVES, fit_law
from isostate.laws.objectives import HUBER_DELTA
from isostate.laws.problem import Problem
from isostate.laws.sensitivity import audit, sensitivity, spread
from tests.laws.planted import PLANTED
from tests.laws.public import epoch, needs_tables

LAW, CASE = LAWS["chinchilla"], PLANTED["chinchilla"]


def noisy():
    exact = LAW.predict(CASE.values, CASE.inputs)
    return exact * np.exp(0.01 * np.random.default_rng(0).normal(size=len(exact)))


def test_one_call_refits_over_every_combination():
    embedding = 2e7 * np.ones_like(CASE.inputs["N"])
    rows = sensitivity(
        LAW,
        CASE.inputs,
        noisy(),
        counts={"with embeddings": {"N": CASE.inputs["N"] + embedding}},
        objectives=("huber", "squares"),
        drop=(0, 2),
    )
    assert len(rows) == 2 * 2 * 2
    assert {row["n"] for row in rows} == {36, 34}
    low, high = spread(rows, "a")
    assert low < high
    by_count = [np.mean([row["alpha"] for row in rows if row["count"] == c]) for c in ("as given", "with embeddings")]
    assert by_count[0] != pytest.approx(by_count[1], rel=1e-3), "how parameters are counted moves the exponent"


def test_an_optimum_passes_its_audit_and_another_objectives_does_not():
    fit = fit_law(LAW, CASE.inputs, noisy(), bootstrap=0, holdout=None)
    assert not audit(LAW, CASE.inputs, noisy(), fit.values, "huber").alarms
    assert audit(LAW, CASE.inputs, noisy(), CASE.values, "huber").alarms


OPTIMUM = 0.00101827402  # FORMULAS section 5: of the summed Huber loss on the 240 points
# FORMULAS section 5, Chinchilla: Hoffmann et al. 2022, unrounded
HOFFMANN = {
    "A": np.exp(6.0073404),
    "B": np.exp(6.0179186),
    "E": np.exp(0.5267228),
    "alpha": 0.33917084,
    "beta": 0.2849083,
}


SUMMED, AVERAGED = HUBER_DELTA, HUBER_DELTA / 240  # the search's own values are in units of delta


def by_scipy(start, scale, method="BFGS"):
    """What scipy with its default tolerances makes of the Huber loss times `scale`, on the Epoch points."""
    x, y = {"N": epoch()["N"], "D": epoch()["D"]}, epoch()["L"]
    problem = Problem(LAW, OBJECTIVES["huber"], x, y[None], np.ones((1, 240)))

    def function(theta):
        value, gradient, _ = problem.equations(theta[None], np.arange(1))
        return value[0] * scale, gradient[0] * scale

    return minimize(function, start, jac=True, method=method)


@needs_tables
def test_from_the_published_values_the_sum_leads_to_the_optimum_and_the_average_stops_short_with_success():
    # Besiroglu et al. 2024: the averaged gradient falls below an absolute tolerance of 1e-5 on the way
    x, y = {"N": epoch()["N"], "D": epoch()["D"]}, epoch()["L"]
    start = LAW.internal(np.array([[HOFFMANN[name] for name in LAW.names]]))[0]
    summed, averaged = by_scipy(start, SUMMED), by_scipy(start, AVERAGED)
    assert summed.success
    assert averaged.success, "it says so of itself"
    assert summed.fun == pytest.approx(OPTIMUM, abs=1e-9)
    assert averaged.fun * 240 > 1.1 * OPTIMUM
    assert averaged.nit < 0.5 * summed.nit
    stopped = dict(zip(LAW.names, LAW.natural(averaged.x[None])[0], strict=True))
    told = audit(LAW, x, y, stopped, "huber")
    assert told.value == pytest.approx(averaged.fun * 240, rel=1e-9)
    assert told.reachable == pytest.approx(OPTIMUM, abs=1e-9)
    assert "averaged, not summed" in told.alarms[0]
    arrived = dict(zip(LAW.names, LAW.natural(summed.x[None])[0], strict=True))
    assert not audit(LAW, x, y, arrived, "huber").alarms


@needs_tables
def test_averaging_also_stops_a_search_from_afar_early():
    start = LAW.internal(np.array([[np.exp(0.5), np.exp(5.0), np.exp(5.0), 0.5, 0.5]]))[0]
    stopped = by_scipy(start, AVERAGED, "L-BFGS-B")
    values = dict(zip(LAW.names, LAW.natural(stopped.x[None])[0], strict=True))
    averaged = audit(LAW, {"N": epoch()["N"], "D": epoch()["D"]}, epoch()["L"], values, "huber")
    assert averaged.value > 1.05 * OPTIMUM
    assert "averaged, not summed" in averaged.alarms[0]
    assert averaged.reachable == pytest.approx(OPTIMUM, abs=1e-9)


@needs_tables
def test_the_published_values_are_no_optimum_of_their_objective_and_epochs_are_one_of_theirs():
    x, y = {"N": epoch()["N"], "D": epoch()["D"]}, epoch()["L"]
    told = audit(LAW, x, y, HOFFMANN, "huber")
    assert told.value > 1.2 * told.reachable
    assert told.alarms
    ours = fit_law(LAW, x, y, objective="likelihood", bootstrap=0, profile_points=0, holdout=None)
    assert not audit(LAW, x, y, ours.values, "likelihood").alarms
    assert audit(LAW, x, y, ours.values, "huber").value == pytest.approx(OPTIMUM, rel=0.01)


@needs_tables
def test_a_fit_of_the_averaged_loss_finds_the_optimum_and_warns_of_other_peoples():
    x, y = {"N": epoch()["N"], "D": epoch()["D"]}, epoch()["L"]
    fit = fit_law(LAW, x, y, objective="huber-mean", bootstrap=0, profile_points=0, holdout=None)
    assert fit.objective_value * 240 == pytest.approx(OPTIMUM, abs=1e-9)
    assert any("below the absolute tolerances" in alarm for alarm in fit.alarms)
