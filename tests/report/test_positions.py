from __future__ import annotations

from isostate.report.positions import loss_by_position
from tests.report import studies
from tests.report.test_figures import opened


def test_without_results_the_figure_says_what_fills_it():
    assert "[data] context" in loss_by_position([studies.diverged()])["empty"]


def test_points_lie_in_the_geometric_middle_of_their_bins():
    trace = opened(loss_by_position([studies.run()]))["data"][0]
    assert trace["x"][0] == 1.0
    assert trace["x"][2] == (3 * 4) ** 0.5
    assert len(trace["x"]) == len(trace["y"]) == len(trace["text"])


def test_all_families_show_their_largest_state():
    table = [studies.run(f, state=s) for f in ("linear", "window") for s in (2_048, 8_192)]
    assert [trace["name"] for trace in opened(loss_by_position(table))["data"]] == ["linear, 8.19K", "window, 8.19K"]


def test_one_family_shows_every_state():
    table = [studies.run(f, state=s) for f in ("linear", "window") for s in (2_048, 8_192)]
    view = loss_by_position(table)["views"]["0.0.0.1.0"]
    assert [trace["name"] for trace in view["data"]] == ["2.05K", "8.19K"]


def test_seeds_are_averaged():
    table = [studies.run(seed=seed) for seed in (0, 1)]
    trace = opened(loss_by_position(table))["data"][0]
    first = [row["final"]["1024"]["by_position"]["loss_nats"][0] for row in table]
    assert trace["y"][0] == sum(first) / 2


def test_the_slider_moves_over_training_contexts_and_marks_them():
    figure = loss_by_position([studies.run(context=context) for context in (64, 256)])
    slider = figure["controls"][-1]
    assert (slider["kind"], [o["label"] for o in slider["options"]]) == ("slider", ["64", "256"])
    assert figure["views"]["0.0.1.1.0"]["layout"]["shapes"][0]["x0"] == 64
    assert figure["views"]["0.0.1.1.1"]["layout"]["shapes"][0]["x0"] == 256
