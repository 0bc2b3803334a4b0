"""The power of compute equals the regression in logs, and Porian's published exponents."""

import numpy as np
import pytest

from isostate.laws import LAWS, fit_law
from isostate.laws.approaches import power_of_compute
from isostate.laws.registry import PUBLISHED
from tests.laws.public import column, load_json, needs_tables, rows

KEYS = ("dataset", "hparams", "warmup", "decay", "param_count", "val")
PORIAN = ("porian-kaplan", "porian-head", "porian-warmup", "porian-decay", "porian-tuned")


def test_it_is_the_regression_of_log_n_on_log_c():
    C = np.geomspace(1e17, 1e21, 7)
    N = 0.1 * C**0.5 * np.exp(0.1 * np.array([1, -1, 0.5, 1, -1, 0, 1]))
    fit = fit_law(LAWS["frontier"], {"C": C}, N, bootstrap=0, holdout=None)
    regression = power_of_compute(C, N)
    assert fit.values["a"] == pytest.approx(regression.exponent.value, rel=1e-8)
    assert fit.values["k"] == pytest.approx(regression.coefficient, rel=1e-6)
    ends = fit.profiles["a"].interval
    assert (ends.low, ends.high) == pytest.approx((regression.exponent.low, regression.exponent.high), rel=1e-3)


@needs_tables
@pytest.mark.parametrize("name", PORIAN)
def test_porians_published_fits_are_refitted_from_their_optima(name):
    theirs = PUBLISHED[name]
    chosen = load_json("porian/published_fits.json")[PORIAN.index(name)]
    assert chosen["bs_median_weighted"]["n_exponent"] == pytest.approx(theirs.values["a"], abs=1e-6)
    pairs = [
        row
        for row in rows("porian/optimal_pairs.csv")
        if row["file"] == chosen["file"] and [row[key] for key in KEYS] == chosen["config"] and row["n_star_std"]
    ]
    C, N, std = (column(pairs, key) for key in ("flops", "n_star", "n_star_std"))
    known = np.isfinite(N) & np.isfinite(std)
    weights = std[known] ** -2.0
    ours = fit_law(theirs.law, {"C": C[known]}, N[known], weights=weights, bootstrap=0, profile_points=0, holdout=None)
    assert ours.values["a"] == pytest.approx(theirs.values["a"], abs=1e-5)
    assert ours.values["k"] == pytest.approx(theirs.values["k"], rel=1e-4)
