"""Comparison of forms: planted truths win, richer forms that add nothing do not, and the words say which to believe."""

import json

import numpy as np
import pytest
from scipy import stats

from isostate.config import UserError
from isostate.laws import LAWS, OBJECTIVES, compare
from isostate.laws.compare import log_likelihood
from isostate.laws.joint import joint_law
from tests.laws.planted import PLANTED

CHINCHILLA, KAPLAN = LAWS["chinchilla"], LAWS["kaplan"]
RICHER = joint_law(
    "crossed",
    "L(N, D) = E + A N^-alpha + B D^-beta + F N^-mu D^-nu",
    "a nested richer form, for this test",
    [("A", {"N": "alpha"}), ("B", {"D": "beta"}), ("F", {"N": "mu", "D": "nu"})],
    ("N", "D"),
)


def observed(name, sd=0.004, seed=0):
    law, case = LAWS[name], PLANTED[name]
    exact = law.predict(case.values, case.inputs)
    return case.inputs, exact * np.exp(sd * np.random.default_rng(seed).normal(size=len(exact)))


def by_name(comparison):
    return {row.name: row for row in comparison.rows}


@pytest.mark.parametrize("truth", ["chinchilla", "kaplan"])
@pytest.mark.parametrize("objective", ["huber", "squares-log", "squares"])
def test_the_planted_form_wins_by_hold_out_and_by_bic(truth, objective):
    x, y = observed(truth)
    found = compare([CHINCHILLA, KAPLAN], x, y, objective=objective)
    assert found.rows[0].name == truth
    rows = by_name(found)
    other = ({"chinchilla", "kaplan"} - {truth}).pop()
    assert rows[truth].delta_bic == rows[truth].delta_aicc == 0.0
    assert rows[other].delta_bic > 10
    assert rows[truth].akaike_weight > 0.99
    assert rows[truth].holdout_error < rows[other].holdout_error
    assert any(f"believe {truth}" in words for words in found.words), found.words


@pytest.mark.slow
def test_a_nested_richer_form_fits_closer_but_does_not_win_by_bic():
    wins = 0
    for seed in range(5):
        x, y = observed("chinchilla", seed=seed)
        rows = by_name(compare([CHINCHILLA, RICHER], x, y, objective="squares-log"))
        assert rows["crossed"].log_likelihood >= rows["chinchilla"].log_likelihood - 1e-6
        assert rows["crossed"].n_params == rows["chinchilla"].n_params + 3
        wins += rows["chinchilla"].delta_bic == 0.0
    assert wins == 5


def test_the_richer_form_wins_where_it_is_the_truth():
    values = {"E": 1.7, "A": 400.0, "B": 900.0, "F": 4e4, "alpha": 0.33, "beta": 0.33, "mu": 0.3, "nu": 0.25}
    x = PLANTED["chinchilla"].inputs
    y = RICHER.predict(values, x) * np.exp(0.001 * np.random.default_rng(0).normal(size=36))
    assert by_name(compare([CHINCHILLA, RICHER], x, y, objective="squares-log"))["crossed"].delta_bic == 0.0


def test_the_criteria_are_their_definitions():
    x, y = observed("chinchilla")
    row = by_name(compare([CHINCHILLA, KAPLAN], x, y, objective="squares-log"))["chinchilla"]
    r = np.log(y) - np.log(row.fit.predict(x))
    likely = stats.norm.logpdf(r, scale=np.sqrt(np.mean(r**2))).sum() - np.log(y).sum()
    assert row.log_likelihood == pytest.approx(likely)
    assert row.bic == pytest.approx(6 * np.log(36) - 2 * likely)
    assert row.aicc == pytest.approx(12 - 2 * likely + 84 / 29)


def test_the_likelihood_is_a_density_of_the_loss_whatever_the_space_of_the_objective():
    rng = np.random.default_rng(0)
    y, r, ones = np.exp(rng.normal(size=500)), rng.laplace(scale=0.02, size=500), np.ones(500)
    laplace, n = log_likelihood(r, y, ones, OBJECTIVES["huber"])
    b = np.mean(np.abs(r))
    assert (laplace, n) == (pytest.approx(stats.laplace.logpdf(r, scale=b).sum() - np.log(y).sum()), 500)
    plain, _ = log_likelihood(r, y, ones, OBJECTIVES["squares"])
    assert plain == pytest.approx(stats.norm.logpdf(r, scale=np.sqrt(np.mean(r**2))).sum())
    # weights are inverse variances, and a point of weight 0 does not count
    weights = np.r_[np.full(250, 4.0), np.full(249, 1.0), 0.0]
    weighted, n = log_likelihood(r, y, weights, OBJECTIVES["squares"])
    kept = weights > 0
    sd = np.sqrt(np.mean(weights[kept] * r[kept] ** 2)) / np.sqrt(weights[kept])
    assert (weighted, n) == (pytest.approx(stats.norm.logpdf(r[kept], scale=sd).sum()), 499)


def test_laws_of_different_inputs_compare_on_the_same_points():
    x, y = observed("chinchilla")
    found = compare([CHINCHILLA, LAWS["params"]], x, y)
    assert "Laplace" in found.likelihood
    rows = by_name(found)
    assert rows["params"].delta_bic > 10
    held = [[point["held_out"] for point in row.fit.points] for row in found.rows]
    assert held[0] == held[1]


def test_a_law_that_the_points_cannot_carry_is_told_and_comes_last():
    x, y = observed("chinchilla")
    few = {s: c[:8] for s, c in x.items()}
    found = compare([CHINCHILLA, LAWS["farseer"]], few, y[:8], holdout=None)
    assert found.rows[-1].bic is None
    assert any("farseer could not be fitted" in words for words in found.words)
    json.dumps(found.to_dict(), allow_nan=False)


def test_a_hold_out_that_cannot_tell_two_forms_apart_is_said_to():
    x, y = observed("chinchilla", sd=0.02)
    found = compare([CHINCHILLA, RICHER], x, y, objective="squares-log")
    assert any("no better than" in words for words in found.words), found.words
    assert any("believe chinchilla" in words for words in found.words), found.words


@pytest.mark.parametrize("laws", [[], [CHINCHILLA], [CHINCHILLA, CHINCHILLA]])
def test_fewer_than_two_laws_are_refused(laws):
    x, y = observed("chinchilla")
    with pytest.raises(UserError, match="two laws or more"):
        compare(laws, x, y)
