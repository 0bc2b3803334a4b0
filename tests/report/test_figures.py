from __future__ import annotations

from statistics import stdev

import pytest
from playwright.sync_api import expect

from isostate.report.figures import loss_against_state
from isostate.report.fits import fit_laws
from isostate.report.law_panels import law_of_each_family
from tests.report import studies


def opened(figure):
    """The view that a reader first sees."""
    keys = [str(control["default"]) for control in figure["controls"] if control["role"] == "view"]
    return figure["views"][".".join(keys)]


def test_without_runs_the_figure_says_what_study_fills_it():
    assert "state_size" in loss_against_state([studies.pending()], [])["empty"]


def test_each_family_has_points_line_band_and_a_legend_entry():
    table = studies.small()
    view = opened(loss_against_state(table, fit_laws(table, studies.STUDY)))
    for family in ("power-2", "taylor-2", "linear", "window"):
        mine = [trace for trace in view["data"] if trace["legendgroup"] == family]
        assert any(trace.get("fill") == "toself" for trace in mine)
        assert any(trace["mode"] == "lines" and len(trace["x"]) > 20 for trace in mine)
        assert [trace["name"] for trace in mine if trace.get("showlegend", True)] == [family]


def test_points_are_the_losses_of_the_chosen_context():
    table = [studies.run(state=state) for state in studies.STATES]
    figure = loss_against_state(table, [])
    for index, context in enumerate(("256", "1024")):
        points = next(t for t in figure["views"][f"0.0.0.{index}"]["data"] if t["mode"] == "markers")
        assert points["y"] == [row["final"][context]["loss_nats"] for row in table]


def test_seeds_are_shown_beside_their_mean():
    table = [studies.run(state=state, seed=seed) for state in studies.STATES for seed in (0, 1, 2)]
    view = opened(loss_against_state(table, fit_laws(table, studies.STUDY)))
    counts = sorted(len(trace["x"]) for trace in view["data"] if trace["mode"] == "markers")
    assert counts == [1, 6, 18]  # hold-out, means, seeds


def test_families_together_show_means_lines_and_bars_and_one_alone_its_band_seeds_and_hold_out():
    table = [studies.run(f, state=s, seed=i) for f in ("power-2", "window") for s in studies.STATES for i in (0, 1, 2)]
    data = opened(loss_against_state(table, fit_laws(table, studies.STUDY)))["data"]
    together = [trace for trace in data if "alone" not in trace["meta"]]
    assert not any("fill" in trace for trace in together)
    for family in ("power-2", "window"):
        mine = [trace for trace in data if trace["meta"]["family"] == family]
        shown = [trace for trace in together if trace["meta"]["family"] == family]
        _, line, means = shown  # the legend's entry first
        assert (line["mode"], len(means["x"])) == ("lines", 6)
        first = [row["final"]["1024"]["loss_nats"] for row in table if row["family"] == family][:3]
        assert means["error_y"]["array"][0] == pytest.approx(stdev(first))
        hidden = [trace for trace in mine if trace not in shown]
        assert ["fill" in trace for trace in hidden] == [True, False, False]
        assert [len(trace["x"]) for trace in hidden[1:]] == [1, 18]


def test_a_lone_family_hides_nothing():
    table = [studies.run(state=state) for state in studies.STATES]
    data = opened(loss_against_state(table, fit_laws(table, studies.STUDY)))["data"]
    assert not any("alone" in trace["meta"] for trace in data)
    assert any("fill" in trace for trace in data)


def test_the_held_out_state_is_hollow_and_has_its_prediction():
    table = [studies.run(state=state) for state in studies.STATES]
    view = opened(loss_against_state(table, fit_laws(table, studies.STUDY)))
    points = next(trace for trace in view["data"] if trace["mode"] == "markers" and len(trace["x"]) == 6)
    assert [symbol.endswith("-open") for symbol in points["marker"]["symbol"]] == [False] * 5 + [True]
    assert any("error_y" in trace for trace in view["data"])


def test_a_family_without_a_law_is_named_and_its_means_joined():
    table = [studies.run(state=state) for state in studies.STATES[:2]]
    view = opened(loss_against_state(table, fit_laws(table, studies.STUDY)))
    assert view["note"].startswith("Without a law: power-2.")
    assert any(trace["mode"] == "lines" and len(trace["x"]) == 2 for trace in view["data"])


def test_a_law_on_its_bound_is_not_drawn():
    table = [studies.run(state=state, evals=(256,)) for state in studies.STATES]
    for row, loss in zip(table, [3.7, 3.3, 3.301, 3.299, 3.3, 3.302], strict=True):
        row["final"]["256"]["loss_nats"] = loss
    laws = fit_laws(table, studies.STUDY)
    assert laws[0]["params"]
    view = opened(loss_against_state(table, laws))
    (line,) = [trace for trace in view["data"] if trace["mode"] == "lines"]
    assert line["x"] == list(studies.STATES)
    assert view["note"].startswith("Without a law: power-2.")
    panel = opened(law_of_each_family(table, laws))
    assert panel["panels"]["titles"][0].endswith("no law")
    assert not any("fill" in trace for trace in panel["data"])


def test_bands_that_are_hidden_do_not_stretch_the_axis():
    table = [studies.run(family, state=state) for family in ("power-2", "window") for state in studies.STATES]
    laws = fit_laws(table, studies.STUDY)
    for law in laws:
        law["curve"]["high"] = [9.0 for _ in law["curve"]["high"]]
    view = opened(loss_against_state(table, laws))
    assert view["layout"]["yaxis"]["range"][1] < 1.3 * max(row["final"]["1024"]["loss_nats"] for row in table)
    assert "band is cut" in view["note"]


def test_a_combination_that_nobody_trained_says_so():
    table = [studies.run(), studies.run(size=studies.SIZES[1], context=64)]
    figure = loss_against_state(table, [])
    assert "missing" in figure["views"]["0.0.0.0"]
    assert "data" in figure["views"]["0.0.1.0"]


def test_axes_have_titles_with_units_and_round_ticks():
    layout = opened(loss_against_state(studies.small(), []))["layout"]
    assert layout["xaxis"]["title"]["text"] == "state (elements per sequence)"
    assert layout["yaxis"]["title"]["text"] == "loss (nats per token)"
    assert "10K" in layout["xaxis"]["ticktext"]


def test_bands_that_would_press_the_points_flat_are_cut_and_said_to_be():
    table = [studies.run(state=state) for state in studies.STATES]
    laws = fit_laws(table, studies.STUDY)
    assert "range" not in opened(loss_against_state(table, laws))["layout"]["yaxis"]
    for fit in laws:
        fit["curve"]["high"] = [y + 50.0 for y in fit["curve"]["high"]]
    view = opened(loss_against_state(table, laws))
    losses = [row["final"]["1024"]["loss_nats"] for row in table]
    low, high = view["layout"]["yaxis"]["range"]
    assert low < min(losses) < max(losses) < high < 2 * max(losses) - min(losses)
    assert view["note"].startswith("A family's band is cut where it reaches beyond the axis")


def test_a_run_without_a_finite_loss_is_left_out_and_said():
    table = [studies.run(state=state) for state in studies.STATES]
    table[0]["final"]["1024"]["loss_nats"] = None
    figure = loss_against_state(table, fit_laws(table, studies.STUDY))
    view = figure["views"]["0.0.0.1"]
    assert view["note"] == "Not drawn: 1 run without a finite loss at this context."
    assert 2_048 not in next(trace for trace in view["data"] if trace["mode"] == "markers" and len(trace["x"]) > 1)["x"]


@pytest.mark.browser
def test_a_band_appears_when_its_family_is_picked(full_page):
    bands = full_page.figure("state").locator(".scatterlayer .js-fill")
    expect(full_page.figure("state").locator(".scatterlayer .point").first).to_be_visible()
    expect(bands).to_have_count(0)
    full_page.control("state", "family").select_option("window")
    expect(bands).to_have_count(1)
    full_page.control("state", "family").select_option("")
    expect(bands).to_have_count(0)
