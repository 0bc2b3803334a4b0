"""Approaches 1 and 2, their bias on a known surface, and Porian's fifteen exponents."""

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS
from isostate.laws.approaches import envelope, isoflop_bias, optimum, parabola_optima, power_of_compute
from tests.laws.public import column, load_json, needs_tables, rows

ROUNDED = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
KEYS = ("dataset", "hparams", "warmup", "decay", "param_count", "val")


def surface(N, D):
    return LAWS["chinchilla"].predict(ROUNDED, {"N": N, "D": D})


def test_the_bias_of_approach_2_on_the_four_grids():
    # FORMULAS section 5: grids of 2, 4, 8 and 16 times either side at 1e24
    bias = 100 * isoflop_bias(ROUNDED, 1e24, (2, 4, 8, 16))[0]
    assert bias == pytest.approx([-0.33, -1.30, -2.90, -5.10], abs=0.005)


def test_a_surface_with_equal_exponents_has_no_bias():
    # With alpha = beta a slice is even about its minimum, so the parabola's vertex is exact.
    assert isoflop_bias({**ROUNDED, "beta": 0.34}, 1e21, (8,)) == pytest.approx(0.0, abs=1e-9)


def test_the_optimum_is_a_minimum_along_its_budget():
    N, D = optimum(ROUNDED, [1e21])
    losses = [surface(N * f, D / f)[0] for f in (0.98, 1.0, 1.02)]
    assert losses[1] < min(losses[0], losses[2])
    spent = 6 * N * D
    assert spent == pytest.approx([1e21])


def test_approach_2_recovers_the_exponent_of_a_planted_surface():
    C = np.repeat(np.geomspace(1e18, 1e22, 5), 9)
    N = optimum(ROUNDED, C)[0] * np.tile(np.geomspace(0.5, 2, 9), 5)
    found = parabola_optima(C, N, surface(N, C / (6 * N)))
    law = power_of_compute(found["C"], found["N"])
    assert law.exponent.value == pytest.approx(0.28 / 0.62, abs=1e-4)


def test_approach_1_recovers_the_exponent_from_learning_curves():
    sizes = np.geomspace(1e7, 1e11, 160)
    D = np.geomspace(1e8, 1e13, 200)
    run, N = np.repeat(np.arange(160), 200), np.repeat(sizes, 200)
    tokens = np.tile(D, 160)
    found = envelope(run, N, 6 * N * tokens, surface(N, tokens), np.geomspace(1e19, 1e22, 30))
    assert power_of_compute(found["C"], found["N"]).exponent.value == pytest.approx(0.28 / 0.62, abs=0.01)


def test_budgets_whose_optimum_lies_outside_the_sizes_are_left_out():
    N = np.geomspace(1e6, 1e7, 6)  # all far below N* at this budget
    C = np.full(6, 1e24)
    assert len(parabola_optima(C, N, surface(N, C / (6 * N)))["C"]) == 0
    with pytest.raises(UserError, match="needs 3 of each"):
        power_of_compute([1e20, 1e21], [1e8, 1e9])


@needs_tables
def test_porians_fifteen_exponents_to_1e_5():
    pairs = rows("porian/optimal_pairs.csv")
    fits = load_json("porian/published_fits.json")
    assert len(fits) == 15
    for fit in fits:
        chosen = [
            row
            for row in pairs
            if row["file"] == fit["file"]
            and [row[key] for key in KEYS] == fit["config"]
            and row["n_star"]
            and row["n_star_std"]
        ]
        C, N, std = (column(chosen, name) for name in ("flops", "n_star", "n_star_std"))
        known = np.isfinite(N) & np.isfinite(std)
        law = power_of_compute(C[known], N[known], std[known])
        assert law.exponent.value == pytest.approx(fit["bs_median_weighted"]["n_exponent"], abs=1e-5)
        assert law.coefficient == pytest.approx(fit["bs_median_weighted"]["n_coef"], rel=1e-5)
        plain = power_of_compute(C[known], N[known])
        assert plain.exponent.value == pytest.approx(fit["basic"]["n_exponent"], abs=1e-5)
