"""The figure of the state worth having."""

from __future__ import annotations

import math

import pytest

from isostate.report.best_state import best_state, told
from isostate.report.fits import fit_laws
from isostate.report.page import render
from tests.report import browser, planted_joint, studies
from tests.report.test_figures import opened as view_of


@pytest.fixture(scope="module")
def fitted():
    table = planted_joint.contexts() + planted_joint.contexts("window")
    return table, fit_laws(table, {**studies.STUDY, "fit": [{"law": "state-context"}]})


def test_without_a_joint_law_it_says_what_study_fills_it():
    assert "state-context" in best_state(studies.small(), [])["empty"]


def test_a_family_has_its_points_with_bars_and_the_claim_stands_beside(fitted):
    view = view_of(best_state(*fitted))
    names = {trace["legendgroup"] for trace in view["data"] if "legendgroup" in trace}
    assert names == {"power-2", "window"}  # of one size, which then needs no word
    points = [trace for trace in view["data"] if "error_y" in trace]
    assert [len(trace["x"]) for trace in points] == [4, 4]
    assert all(value > 0 for trace in points for value in trace["error_y"]["array"])
    (claim,) = [trace for trace in view["data"] if trace.get("name") == "S* ~ √T"]
    slope = math.log(claim["y"][1] / claim["y"][0]) / math.log(claim["x"][1] / claim["x"][0])
    assert slope == pytest.approx(0.5)
    assert view["note"].startswith("power-2: exponent 0.")
    assert "0.5 is refuted." in view["note"]  # planted: 0.8


def test_the_page_holds_it(fitted):
    table, entries = fitted
    page = render(studies.STUDY, table, entries)
    assert 'id="figure-best-state"' in page
    assert '<table class="state-context">' in page


def test_the_axis_holds_the_claim_and_every_family_stands_beside_the_next():
    table = [*planted_joint.params(), *planted_joint.params("window")]
    view = view_of(best_state(table, fit_laws(table, {**studies.STUDY, "fit": [{"law": "state-params"}]})))
    (claim,) = [trace for trace in view["data"] if trace.get("name") == "S* = N"]
    low, high = (10**end for end in view["layout"]["yaxis"]["range"])
    assert low < min(claim["y"]) < max(claim["y"]) < high
    first, second = [trace["x"] for trace in view["data"] if "error_y" in trace]
    assert [b / a for a, b in zip(first, second, strict=True)] == pytest.approx([1.03] * 4)


def test_a_state_that_no_trained_one_comes_near_is_told_and_not_drawn(fitted):
    table, entries = fitted
    first, second = ({**entry, "states": [1.0, 2.0]} for entry in entries)
    view = view_of(best_state(table, [first, entries[1]]))
    assert {trace["legendgroup"] for trace in view["data"] if "legendgroup" in trace} == {"window"}
    assert "Not drawn, outside the states that were trained: above 2 at 128 tokens, above 2 at 512" in view["note"]
    assert "above 2 at 8,192 tokens." in view_of(best_state(table, [first, second]))["missing"]
    nowhere = view_of(best_state(table, [{**first, "best": [], "bound_hits": ["beta"]}]))
    assert nowhere["missing"].endswith("no interval, 0.5 is undecided.")
    assert told({"states": [10, 2_000]}, {"value": 9.5}) == "below 10"
    assert told({"states": [10, 2_000]}, {"value": 1_500.0}) == "1.5K"


def test_sizes_and_contexts_are_named_where_there_are_several():
    table = [*planted_joint.contexts(), *(dict(row, n_layers=3) for row in planted_joint.contexts())]
    view = view_of(best_state(table, fit_laws(table, {**studies.STUDY, "fit": [{"law": "state-context"}]})))
    names = {trace["legendgroup"] for trace in view["data"] if "legendgroup" in trace}
    assert names == {"power-2, 2x64", "power-2, 3x64"}


@pytest.mark.browser
def test_a_browser_draws_both_claims(started, tmp_path):
    table = [*planted_joint.contexts(), *planted_joint.params()]
    (tmp_path / "joint.html").write_text(render(planted_joint.JOINT, table, fit_laws(table, planted_joint.JOINT)))
    with browser.opened(started, tmp_path / "joint.html", **browser.DESKTOP) as opened:
        for number, claim in enumerate(("S* ~ √T", "S* = N")):
            opened.figure("best-state").get_by_role("tab").nth(number).click()
            legend = opened.figure("best-state").locator(".drawing .legend")
            assert claim in legend.text_content()
            assert "exponent" in opened.figure("best-state").locator(".note").inner_text()
