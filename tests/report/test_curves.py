from __future__ import annotations

import pytest

from isostate.report.curves import learning_curves
from tests.report import studies
from tests.report.test_figures import opened


def control(figure, key):
    return next(entry for entry in figure["controls"] if entry["key"] == key)


def test_without_a_run_the_figure_says_what_fills_it():
    assert "log_every" in learning_curves([studies.pending()])["empty"]


def test_x_comes_in_updates_tokens_and_seconds():
    row = studies.run()
    trace = opened(learning_curves([row]))["data"][0]
    assert trace["swap"]["x"]["steps"][1] == 100
    assert trace["swap"]["x"]["tokens"][1] == 102_400
    assert trace["swap"]["x"]["seconds"][1] == row["curve"][1]["train_s"]


def test_y_is_the_training_loss_or_the_held_out_loss_of_a_context():
    row = studies.run()
    columns = opened(learning_curves([row]))["data"][0]["swap"]["y"]
    assert columns["train"][0] == row["curve"][0]["train_loss_nats"]
    assert columns["256"][0] is None
    assert columns["256"][1] == row["curve"][1]["eval"]["256"]


def test_runs_that_are_not_done_are_drawn_and_named():
    view = opened(learning_curves([studies.run(), studies.unfinished("running", 450, state=2_048)]))
    assert sorted(len(trace["swap"]["x"]["steps"]) for trace in view["data"]) == [9, 20]
    assert "(running)" in view["note"]


def test_a_state_filter_opens_at_the_state_that_most_families_share():
    table = [studies.run(f, state=s) for f in ("linear", "window") for s in (2_048, 8_192)] + [
        studies.run(state=65_536)
    ]
    entry = control(learning_curves(table), "state")
    assert entry["options"][entry["default"]]["label"] == "about 8.19K"
    assert entry["options"][0] == {"value": "", "label": "all states"}


def test_one_family_is_coloured_by_state_and_all_by_family():
    table = [studies.run(f, state=s) for f in ("linear", "window") for s in (2_048, 8_192)]
    figure = learning_curves(table)
    every = {trace["name"] for trace in figure["views"]["0.0.0.0"]["data"]}
    one = {trace["name"] for trace in figure["views"]["0.0.0.1"]["data"]}
    assert (every, one) == ({"linear", "window"}, {"2.05K", "8.19K"})


def test_the_y_axis_opens_without_the_steep_start():
    row = studies.run()
    low, high = opened(learning_curves([row]))["swap"]["y"]["256"]["yaxis"]["range"]
    losses = [point["eval"].get("256") for point in row["curve"]]
    assert low < losses[-1]
    assert high < losses[1]
    assert high == pytest.approx(losses[3] + 0.05 * (losses[3] - losses[-1]))


def test_a_run_without_times_or_evaluations_draws_nulls_only():
    row = studies.run()
    row["curve"] = [{**point, "train_s": None, "eval": {}} for point in row["curve"]]
    trace = opened(learning_curves([row]))["data"][0]
    assert set(trace["swap"]["x"]["seconds"]) == {None}


def test_states_that_families_met_nearly_are_shown_together():
    figure = learning_curves([studies.run("linear", state=8_192), studies.run("window", state=8_448)])
    assert [option["label"] for option in control(figure, "state")["options"]] == ["all states", "about 8.19K"]
