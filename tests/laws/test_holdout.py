"""The hold-out: fit the small, predict the large."""

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS, fit_law
from isostate.laws.holdout import held_out
from tests.laws.planted import PLANTED

LAW, CASE = LAWS["chinchilla"], PLANTED["chinchilla"]


def noisy(sd=0.01, seed=0):
    exact = LAW.predict(CASE.values, CASE.inputs)
    return exact * np.exp(sd * np.random.default_rng(seed).normal(size=len(exact)))


def test_the_largest_tenth_by_compute_is_held_out_unless_told_otherwise():
    chosen = held_out(CASE.inputs, 36, "largest")
    compute = CASE.inputs["N"] * CASE.inputs["D"]
    assert chosen.sum() == 4
    assert compute[chosen].min() >= compute[~chosen].max()
    assert not held_out(CASE.inputs, 36, None).any()


def test_the_hold_out_may_be_chosen_and_a_law_that_bends_misses_it():
    observed = noisy(sd=0.001)
    held = CASE.inputs["N"] > 5e9
    bent = np.where(held, observed * 1.2, observed)
    fit = fit_law(LAW, CASE.inputs, bent, bootstrap=200, holdout=held)
    assert fit.holdout.n == held.sum()
    assert any("hold-out missed" in alarm for alarm in fit.alarms)


def test_it_predicts_from_the_small_points_alone():
    observed = noisy()
    held = held_out(CASE.inputs, 36, "largest")
    spoiled = np.where(held, 5.0, observed)
    whole, other = (fit_law(LAW, CASE.inputs, y, bootstrap=0, profile_points=0) for y in (observed, spoiled))
    assert whole.holdout.predicted == pytest.approx(other.holdout.predicted, rel=1e-6)
    small = fit_law(
        LAW, {s: c[~held] for s, c in CASE.inputs.items()}, observed[~held], bootstrap=0, profile_points=0, holdout=None
    )
    errors = small.predict({s: c[held] for s, c in CASE.inputs.items()}) / observed[held] - 1
    assert whole.holdout.mean_abs_error == pytest.approx(np.abs(errors).mean(), rel=1e-4)


@pytest.mark.slow
def test_its_interval_covers_a_new_point_at_its_level():
    covered = []
    for seed in range(60):
        fit = fit_law(
            LAW, CASE.inputs, noisy(seed=seed), objective="squares-log", resampling="residual", bootstrap=200,
            profile_points=0, starts=np.array([list(CASE.values.values())]),
        )  # fmt: skip
        covered.append(fit.holdout.covered)
    # three standard errors of a binomial at 0.95 over 60 studies are 0.084
    assert np.mean(covered) > 0.95 - 0.085


@pytest.mark.parametrize("objective", ["squares-log", "huber"])
def test_without_a_bootstrap_its_interval_is_about_the_bootstraps(objective):
    plain, drawn = (
        fit_law(LAW, CASE.inputs, noisy(), objective=objective, resampling="residual", bootstrap=b, profile_points=0)
        for b in (0, 400)
    )
    assert plain.holdout.predicted == pytest.approx(drawn.holdout.predicted)
    widths = [fit.holdout.high - fit.holdout.low for fit in (plain, drawn)]
    assert widths[0] == pytest.approx(widths[1], rel=0.25)


@pytest.mark.parametrize(
    ("choice", "message"), [("smallest", "no hold-out"), (np.ones(3, bool), "true or false a point")]
)
def test_a_choice_that_cannot_be_is_told(choice, message):
    with pytest.raises(UserError, match=message):
        held_out(CASE.inputs, 36, choice)
