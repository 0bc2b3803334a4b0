"""Means over seeds with intervals: Student's where theory knows them, and covering what was planted."""

from __future__ import annotations

import math
from statistics import variance

import numpy as np
import pytest
from scipy import stats

from isostate.report import seeds

GROUPS = {"a": (1.00, 1.02, 1.01), "b": (0.90, 0.93, 0.91), "c": (0.8,)}


def rows() -> list[dict]:
    return [{"name": name, "loss": loss} for name, losses in GROUPS.items() for loss in losses]


def means(**options) -> seeds.Means:
    return seeds.means(rows(), lambda row: row["name"], lambda row: row["loss"], **options)


def test_noise_is_pooled_over_the_groups_that_have_several():
    noise = seeds.pooled(GROUPS.values())
    assert noise.sd == pytest.approx(math.sqrt((variance(GROUPS["a"]) + variance(GROUPS["b"])) / 2))
    assert noise.dof == 4
    assert seeds.pooled([GROUPS["c"]]) == seeds.Noise(None, 0)
    assert seeds.pooled([GROUPS["c"]]).or_else(noise) == noise


def test_a_difference_of_means_has_students_interval():
    noise = seeds.pooled(GROUPS.values())
    estimate = means().estimate(lambda at: at("a") - at("b"))
    half = stats.t.ppf(0.975, noise.dof) * noise.sd * math.sqrt(1 / 3 + 1 / 3)
    low, high = estimate.interval()
    assert estimate.value == pytest.approx(0.09667, abs=1e-5)
    assert (high - low) / 2 == pytest.approx(half, rel=0.06)  # 4,000 draws
    normal = stats.norm.ppf(0.975) / stats.t.ppf(0.975, noise.dof) * half
    assert (high - low) / 2 > 1.3 * normal  # were the noise known, it would be so much narrower


def test_a_single_seed_is_as_uncertain_as_one_run():
    one = means().estimate(lambda at: at("c")).interval()
    three = means().estimate(lambda at: at("a")).interval()
    assert (one[1] - one[0]) / (three[1] - three[0]) == pytest.approx(math.sqrt(3), rel=0.05)


def test_a_setting_has_one_error_wherever_it_is_used():
    estimate = means().estimate(lambda at: (at("a") - at("b")) + (at("b") - at("a")))
    assert estimate.interval() == (0.0, 0.0)
    assert means().estimate(lambda at: at("a")).interval() == means().estimate(lambda at: at("a")).interval()


def test_without_noise_there_is_a_value_and_no_interval():
    estimate = means(noise=seeds.Noise(None, 0)).estimate(lambda at: at("a") - at("b"))
    assert estimate.value == pytest.approx(0.09667, abs=1e-5)
    assert estimate.interval() == (None, None)
    assert estimate.to_dict() == {"value": estimate.value, "low": None, "high": None}


def test_infinite_draws_leave_an_open_end_and_not_a_nan():
    estimate = seeds.Estimate(3.0, np.where(np.arange(1000) < 100, np.inf, 3.0))
    assert estimate.interval() == (3.0, math.inf)


def test_given_ends_are_kept():
    assert seeds.exactly(61).interval(0.999) == (61, 61)
    assert seeds.from_interval({"value": 0.5, "low": 0.4, "high": 0.7}).interval() == (0.4, 0.7)
    assert seeds.from_interval({"value": 0.5, "low": None, "high": 0.7}).interval() == (None, None)


def test_given_ends_are_widened_to_the_level_that_is_asked_for_each_side_by_itself():
    level = 0.995
    ratio = stats.norm.ppf(0.9975) / stats.norm.ppf(0.975)
    estimate = seeds.from_interval({"value": 0.5, "low": 0.4, "high": 0.7})
    assert estimate.interval(level) == pytest.approx((0.5 - 0.1 * ratio, 0.5 + 0.2 * ratio))
    factors = seeds.from_interval({"value": 8.0, "low": 2.0, "high": 16.0}, factors=True)
    assert factors.interval(level) == pytest.approx((8 / 4**ratio, 8 * 2**ratio))
    assert factors.interval() == (2.0, 16.0)
    open_ended = seeds.from_interval({"value": 3.0, "low": 0.0, "high": math.inf}, factors=True)
    assert open_ended.interval(level) == (0.0, math.inf)


def test_draws_that_are_ranges_have_their_outer_quantiles():
    lower = np.repeat([1.0, 4.0], 500)
    estimate = seeds.Estimate(8.0, lower, upper=4 * lower)
    assert estimate.interval(0.9) == (1.0, 16.0)
    assert seeds.Estimate(8.0, lower).interval(0.9) == (1.0, 4.0)


def test_of_draws_on_a_grid_an_end_is_on_the_grid():
    draws = np.repeat([1.0, 4.0], [25, 975])  # 2.5 % of them: interpolated it would be 1.1
    assert seeds.Estimate(4.0, draws).interval()[0] in (1.0, 4.0)


def covered(n_settings: int, n_seeds: int, studies: int = 300) -> float:
    """How often a 95 % interval of a difference of two single runs or means holds the planted one, 0."""
    rng = np.random.default_rng(7)
    hit = 0
    for _ in range(studies):
        losses = rng.normal(0.0, 0.004, (n_settings, n_seeds))
        values = {i: float(losses[i].mean()) for i in range(n_settings)}
        noise = seeds.pooled(map(list, losses))
        found = seeds.Means(values, dict.fromkeys(values, n_seeds), noise)
        low, high = found.estimate(lambda at: at(0) - at(1)).interval()
        hit += low <= 0.0 <= high
    return hit / studies


@pytest.mark.parametrize(("n_settings", "n_seeds"), [(2, 3), (12, 3), (4, 2)])
def test_intervals_cover_what_was_planted_nineteen_times_in_twenty(n_settings, n_seeds):
    assert 0.91 <= covered(n_settings, n_seeds) <= 0.985  # 300 studies: 0.95 give or take 0.0126
