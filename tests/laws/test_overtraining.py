"""Gadre's hold-outs: five small runs predict a 1.4B run 32 times over-trained and a 6.9B run."""

import numpy as np
import pytest

from isostate.laws import LAWS, fit_law
from tests.laws.public import column, needs_tables, rows

SMALL = ("d=96_l=8_h=4", "d=512_l=8_h=4", "d=576_l=24_h=8", "d=1024_l=24_h=8")


def inputs(table):
    return {"C": column(table, "flops"), "M": column(table, "tok_mult")}


def gadre():
    """(runs of the fit, runs of the downstream fit, the two predicted runs), RedPajama, C4 validation."""
    table = [row for row in rows("gadre/runs.csv") if row["dataset"] == "rpj"]
    fitted = [row for row in table if row["model"] in SMALL and float(row["cc_mult"]) == 1]
    fitted += [row for row in table if row["model"] == SMALL[0] and float(row["cc_mult"]) == 16]
    one = [row for row in table if row["model"] == "open_lm_1b"]
    with_1b = fitted + [row for row in one if float(row["cc_mult"]) == 1]
    large = [row for row in one if float(row["cc_mult"]) == 32]
    large += [row for row in table if row["model"] == "open_lm_7b"]
    return fitted, with_1b, large


@needs_tables
def test_gadres_four_hold_out_errors():
    fitted, with_1b, large = gadre()
    loss = fit_law(LAWS["overtraining"], inputs(fitted), column(fitted, "loss_c4_val"), bootstrap=0, holdout=None)
    predicted = loss.predict(inputs(large))
    errors = 100 * np.abs(predicted / column(large, "loss_c4_val") - 1)
    assert errors == pytest.approx([0.7103, 0.7320], abs=5e-5)
    seen = {"L": column(with_1b, "loss_c4_val")}
    downstream = fit_law(LAWS["downstream"], seen, column(with_1b, "err_avg_subset"), bootstrap=0, holdout=None)
    errors = 100 * np.abs(downstream.predict({"L": predicted}) / column(large, "err_avg_subset") - 1)
    assert errors == pytest.approx([3.6365, 0.0464], abs=5e-5)


def test_it_is_the_chinchilla_surface_with_equal_exponents():
    # C = 6 N D and M = D/N turn a M^eta C^-eta into a 6^-eta N^-2eta
    x = {"C": np.array([6e18]), "M": np.array([20.0])}
    N = np.sqrt(x["C"] / (6 * x["M"]))
    values = {"E": 1.7, "a": 100.0, "b": 700.0, "eta": 0.15}
    plain = {"E": 1.7, "A": 100 * 6**-0.15, "B": 700 * 6**-0.15, "alpha": 0.3, "beta": 0.3}
    surface = LAWS["chinchilla"].predict(plain, {"N": N, "D": N * x["M"]})
    assert LAWS["overtraining"].predict(values, x) == pytest.approx(surface)
