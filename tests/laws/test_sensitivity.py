"""The sensitivity matrix, and the audit of values that were never an optimum."""

import numpy as np
import pytest
from scipy.optimize import minimize

from isostate.laws import LAWS, OBJECTIVES, fit_law
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


@needs_tables
def test_averaging_the_huber_loss_stops_scipy_early_and_the_audit_says_so():
    # Besiroglu et al. 2024: absolute tolerances end the search of an averaged Huber loss early
    x, y = {"N": epoch()["N"], "D": epoch()["D"]}, epoch()["L"]
    problem = Problem(LAW, OBJECTIVES["huber"], x, y[None], np.ones((1, 240)))
    start = LAW.internal(np.array([[np.exp(0.5), np.exp(5.0), np.exp(5.0), 0.5, 0.5]]))[0]

    def ends(scale):
        def function(theta):
            value, gradient, _ = problem.equations(theta[None], np.arange(1))
            return value[0] * scale, gradient[0] * scale

        theta = minimize(function, start, jac=True, method="L-BFGS-B").x
        return dict(zip(LAW.names, LAW.natural(theta[None])[0], strict=True))

    averaged = audit(LAW, x, y, ends(1e-3 / 240), "huber")
    assert averaged.value > 1.05 * 0.00101827402
    assert "averaged, not summed" in averaged.alarms[0]
    assert averaged.reachable == pytest.approx(0.00101827402, abs=1e-9)
