from __future__ import annotations

import json

import pytest

from isostate.report.fits import fit_laws, read
from isostate.report.inline import data_block, pooled
from isostate.report.law_checks import law_checks
from tests.report import studies


@pytest.fixture(scope="module")
def small():
    table = studies.small()
    entries = json.loads(json.dumps(fit_laws(table, studies.STUDY)))
    return law_checks(table, entries), {
        entry["group"]["family"]: read(entry) for entry in entries if entry["group"]["eval_context"] == 1_024
    }


def shown(figure, what):
    """The view at the longest evaluation."""
    keys = {"residuals": "0", "profile": "1", "holdout": "2"}
    return figure["views"][f"0.0.0.1.{keys[what]}"]


def of_family(view, family, mode="markers"):
    return [
        trace
        for trace in view["data"]
        if trace["meta"]["family"] == family and trace["mode"] == mode and trace["x"] != [None]
    ]


def test_residuals_open_and_every_family_is_shown(small):
    figure, _ = small
    defaults = {control["key"]: control["default"] for control in figure["controls"]}
    assert (defaults["shown"], defaults["family"]) == (0, 0)
    assert [control["role"] for control in figure["controls"]][-1] == "filter"


def test_residuals_are_those_of_each_familys_law(small):
    figure, laws = small
    for family, fit in laws.items():
        (points,) = of_family(shown(figure, "residuals"), family)
        value = fit.values
        for point, y, x in zip(fit.points, points["y"], points["x"], strict=True):
            law = value["L_inf"] + value["A"] * point["x"] ** -value["alpha"]
            assert y == pytest.approx(100.0 * (point["y"] / law - 1.0), rel=1e-9)
            assert x == point["x"]  # at the state that it has: families were shifted beside one another


def test_profiles_of_alpha_end_where_their_intervals_do(small):
    figure, laws = small
    for family, fit in laws.items():
        edges, best = of_family(shown(figure, "profile"), family)
        assert best["x"] == [pytest.approx(fit.params["alpha"].value)]
        assert edges["x"] == [pytest.approx(fit.params["alpha"].low), pytest.approx(fit.params["alpha"].high)]


def test_each_hold_out_is_a_row_from_the_top_by_name(small):
    figure, laws = small
    view = shown(figure, "holdout")
    rows = [trace["y"][0] for trace in view["data"] if trace["x"] != [None]]
    assert rows == ["window", "taylor-2", "power-2", "linear"]  # rows are drawn upwards
    for family, fit in laws.items():
        (bar,) = of_family(view, family)
        assert bar["x"] == [pytest.approx(100.0 * fit.holdout.error)]
    missed = [family for family, fit in laws.items() if not fit.holdout.covered]
    assert all(family in view["note"].partition("Missed: ")[2] for family in missed)


def test_a_law_that_could_not_be_tested_or_made_is_named_or_absent():
    table = [studies.run("three", state=state) for state in studies.STATES[:4]]
    table += [studies.run("two", state=state) for state in studies.STATES[:2]]
    figure = law_checks(table, fit_laws(table, studies.STUDY))
    assert shown(figure, "residuals")["data"][0]["meta"]["family"] == "three"
    assert "two" not in {trace["meta"]["family"] for trace in shown(figure, "residuals")["data"]}
    assert "too few states" in shown(figure, "holdout")["missing"]


def test_without_a_law_the_figure_says_what_study_asks_for_one():
    assert "[[fit]]" in law_checks(studies.small(), [])["empty"]
    assert "[[fit]]" in law_checks([studies.pending()], [])["empty"]


def test_a_combination_without_a_law_says_so():
    table = [studies.run(state=state) for state in studies.STATES]
    table.append(studies.run(size=studies.SIZES[1], context=64))
    figure = law_checks(table, fit_laws(table, studies.STUDY))
    assert "missing" in figure["views"]["1.0.0.1.0"]


@pytest.mark.slow
def test_the_figure_adds_little_to_the_page():
    table = studies.full()
    figure = law_checks(table, fit_laws(table, studies.STUDY))
    assert len(figure["views"]) == 2 * 1 * 3 * 2 * 3
    assert len(data_block(pooled([figure]))) < 250_000
