"""The best run of each budget, drawn as questions.at_compute tells it."""

from __future__ import annotations

import pytest

from isostate.report import questions
from isostate.report.at_compute import BUDGETS, best_within_compute
from tests.report import planted_article, studies
from tests.report.test_figures import opened


@pytest.fixture(scope="module")
def rows():
    return planted_article.sizes()


@pytest.fixture(scope="module")
def told(rows):
    return questions.at_compute(rows, questions.budgets_of(rows, BUDGETS))


def test_one_size_is_told_what_would_fill_it():
    assert "[[size]]" in best_within_compute([studies.run()])["empty"]


def test_the_left_panel_is_the_lowest_loss_of_each_budget(rows, told):
    data = opened(best_within_compute(rows))["data"]
    for family in ("window", "power-2-gated"):
        mine = [entry for entry in told if entry["family"] == family]
        points = next(t for t in data if t["mode"] == "markers" and "xaxis" not in t and t["meta"]["family"] == family)
        assert points["x"] == [entry["budget_flops"] for entry in mine]
        assert points["y"] == [entry["loss"] for entry in mine]
        assert points["y"] == sorted(points["y"], reverse=True)


def test_the_right_panel_has_each_best_setting_once_and_larger_the_more_budgets_it_won(rows, told):
    data = opened(best_within_compute(rows))["data"]
    points = next(t for t in data if t["mode"] == "markers" and "xaxis" in t and t["meta"]["family"] == "window")
    mine = [(entry["parameters"], entry["state"]) for entry in told if entry["family"] == "window"]
    assert points["y"] == [state for _, state in dict.fromkeys(mine)]
    assert points["marker"]["size"] == [6.0 + 2.0 * mine.count(setting) for setting in dict.fromkeys(mine)]


def test_what_the_note_claims_is_a_line_of_equal_state_and_parameters(rows):
    (line,) = [trace for trace in opened(best_within_compute(rows))["data"] if trace.get("name") == "S = N"]
    assert line["x"] == line["y"]


def test_the_ratio_at_the_largest_budget_is_said(rows, told):
    last = [entry for entry in told if entry["family"] == "window"][-1]
    note = opened(best_within_compute(rows))["note"]
    assert f"window {last['state_over_parameters']:.2g}" in note
