"""Repetition: limits of the effective tokens, and Muennighoff's objective and R2 on their 182 runs."""

import numpy as np
import pytest

from isostate.laws import LAWS, fit_law
from isostate.laws.repetition import C4_SINGLE_EPOCH, saturated
from tests.laws.public import column, needs_tables, rows

PUBLISHED = {"R_N": 5.309743, "R_D": 15.387756}


def muennighoff():
    table = rows("muennighoff/runs_fit182.csv")
    names = {"N": "N", "D": "D_total_tokens", "U": "U_unique_tokens"}
    return {s: column(table, name) for s, name in names.items()}, column(table, "loss")


def test_few_repeats_are_worth_as_much_as_new_tokens_and_many_saturate():
    unique, scale = np.array([1e9]), np.array([15.0])
    assert saturated(unique, np.array([0.01]), scale)[0] == pytest.approx(1.01e9, rel=1e-5)
    assert saturated(unique, np.array([1e6]), scale)[0] == pytest.approx(16e9, rel=1e-6)


def test_one_epoch_is_the_chinchilla_law():
    x = {"N": np.array([1e8]), "D": np.array([1e11]), "U": np.array([1e11])}
    plain = LAWS["chinchilla"].predict(C4_SINGLE_EPOCH, {"N": x["N"], "D": x["D"]})
    assert LAWS["repetition"].predict(PUBLISHED, x) == pytest.approx(plain)


def r_squared(predicted, observed):
    return 1 - np.sum((predicted - observed) ** 2) / np.sum((observed - observed.mean()) ** 2)


@needs_tables
def test_muennighoffs_objective_and_r2():
    x, observed = muennighoff()
    predicted = LAWS["repetition"].predict(PUBLISHED, x)
    size = np.abs(np.log(predicted) - np.log(observed))
    objective = np.where(size < 1e-3, size**2 / 2, 1e-3 * (size - 5e-4)).sum()
    assert objective == pytest.approx(0.0158259, abs=5e-8)
    assert r_squared(predicted, observed) == pytest.approx(0.77220, abs=5e-6)
    single = LAWS["chinchilla"].predict(C4_SINGLE_EPOCH, {"N": x["N"], "D": x["D"]})
    assert r_squared(single, observed) == pytest.approx(0.44517, abs=5e-6)


@needs_tables
def test_the_refit_is_no_worse_and_says_that_the_decays_are_weakly_identified():
    x, observed = muennighoff()
    fit = fit_law(LAWS["repetition"], x, observed, bootstrap=200, holdout=None)
    assert fit.objective_value < 0.0158259
    assert fit.params["R_N"].low < PUBLISHED["R_N"] < fit.params["R_N"].high
    assert fit.params["R_D"].low < PUBLISHED["R_D"] < fit.params["R_D"].high
    assert sum("flat" in alarm for alarm in fit.alarms) == 2
