"""The next run and how many: against refits with and without it."""

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS, fit_law, fit_state
from isostate.laws.planning import isoflop_grid, next_run, runs_needed
from tests.laws.planted import PLANTED

LAW, CASE = LAWS["chinchilla"], PLANTED["chinchilla"]
TARGET = {"N": 1e11, "D": 2e12}
CANDIDATES = {"N": np.array([5e7, 1e9, 2e10, 2e10]), "D": np.array([1e9, 2e10, 4e11, 1e12])}


@pytest.fixture(scope="module")
def fit():
    exact = LAW.predict(CASE.values, CASE.inputs)
    y = exact * np.exp(0.01 * np.random.default_rng(0).normal(size=len(exact)))
    return fit_law(LAW, CASE.inputs, y, objective="squares-log", bootstrap=400, resampling="residual", holdout=None)


def test_the_predicted_width_is_the_bootstraps_width(fit):
    ranked = next_run(fit, TARGET, CANDIDATES)
    drawn = np.log(LAW.predict_batch(fit.draws, {s: np.array([v]) for s, v in TARGET.items()})[:, 0])
    assert ranked[0].before == pytest.approx(2.04 * drawn.std(), rel=0.35)


def test_candidates_are_ordered_by_gain_a_flop_and_larger_runs_gain_more(fit):
    ranked = next_run(fit, TARGET, CANDIDATES)
    gains = [run.gain_per_cost for run in ranked]
    assert gains == sorted(gains, reverse=True)
    by_size = {(run.inputs["N"], run.inputs["D"]): run.before - run.after for run in ranked}
    assert by_size[(2e10, 1e12)] > by_size[(5e7, 1e9)] >= 0
    free = next_run(fit, TARGET, CANDIDATES, cost=np.ones(4))
    assert free[0].inputs["N"] == 2e10


def test_a_run_narrows_a_refit_by_about_what_was_promised(fit):
    promised = next_run(fit, TARGET, {s: c[3:] for s, c in CANDIDATES.items()})[0]
    extra = {s: np.append(CASE.inputs[s], CANDIDATES[s][3]) for s in "ND"}
    y = np.append([p["y"] for p in fit.points], LAW.predict(fit.values, {s: c[3:] for s, c in CANDIDATES.items()}))
    again = fit_law(LAW, extra, y, objective="squares-log", bootstrap=0, holdout=None)
    after = next_run(again, TARGET, CANDIDATES)[0].before
    # the added point lies on the law, so the refit's noise is a little smaller: 36/37 of the variance
    assert after == pytest.approx(promised.after, rel=0.05)


def test_enough_runs_reach_the_precision_and_an_impossible_one_is_told(fit):
    before = next_run(fit, TARGET, CANDIDATES)[0].before
    chosen = runs_needed(fit, TARGET, 0.7 * before, CANDIDATES)
    assert chosen
    assert chosen[-1].after <= 0.7 * before < chosen[-1].before
    assert runs_needed(fit, TARGET, 2 * before, CANDIDATES) == []
    with pytest.raises(UserError, match="not positive"):
        runs_needed(fit, TARGET, 0.0, CANDIDATES)


def test_it_plans_from_a_fit_of_one_resource_too():
    sizes = np.geomspace(1e3, 1e5, 6)
    fit = fit_state(sizes, 1.5 + 20 * sizes**-0.5 + 0.002 * np.array([1, -1, 1, 0, -1, 1]))
    ranked = next_run(fit, {"S": 1e6}, {"S": np.array([1e3, 1e5, 5e5])})
    assert ranked[0].inputs["S"] == 5e5


@pytest.mark.parametrize("objective", ["squares-log", "squares", "huber"])
def test_it_plans_from_the_weights_of_the_fit(objective):
    exact = LAW.predict(CASE.values, CASE.inputs)
    y = exact * np.exp(0.01 * np.random.default_rng(0).normal(size=len(exact)))
    options = {"objective": objective, "bootstrap": 0, "profile_points": 0, "holdout": None}
    weights = np.r_[np.zeros(6), np.ones(30)]
    weighted = fit_law(LAW, CASE.inputs, y, weights=weights, **options)
    dropped = fit_law(LAW, {s: c[6:] for s, c in CASE.inputs.items()}, y[6:], **options)
    halves = [next_run(fit, TARGET, CANDIDATES)[0].before for fit in (weighted, dropped)]
    assert halves[0] == pytest.approx(halves[1], rel=1e-3)
    plain = fit_law(LAW, CASE.inputs, y, **options)
    assert halves[0] > next_run(plain, TARGET, CANDIDATES)[0].before


def test_an_isoflop_grid_comes_with_its_own_bias():
    grid = isoflop_grid(CASE.values, [1e20, 1e21], width=4.0, sizes=9)
    assert len(grid["N"]) == 18
    np.testing.assert_allclose(6 * grid["N"] * grid["D"], grid["C"])
    assert grid["total_flops"] == pytest.approx(9 * 1.1e21)
    assert np.all(np.sign(grid["bias_N"]) == -np.sign(grid["bias_D"]))
