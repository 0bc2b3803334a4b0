from __future__ import annotations

from isostate.report.heatmaps import at_a_time_budget, context_against_state, reached_within
from tests.report import studies
from tests.report.test_figures import opened


def grid(**changes):
    return [studies.run(state=state, context=context, **changes) for state in (2_048, 8_192) for context in (64, 256)]


def test_without_results_both_say_what_fills_them():
    assert "[data] context" in context_against_state([studies.pending()])["empty"]
    assert "[eval] every" in at_a_time_budget([studies.pending()])["empty"]


def test_cells_are_final_losses_at_the_longest_context():
    table = grid()
    heat = opened(context_against_state(table))["data"][0]
    assert (heat["x"], heat["y"]) == (["2.05K", "8.19K"], ["64", "256"])
    expected = {(row["train_context"], row["state"]["elements"]): row["final"]["1024"]["loss_nats"] for row in table}
    assert heat["z"] == [[expected[64, 2_048], expected[64, 8_192]], [expected[256, 2_048], expected[256, 8_192]]]


def test_seeds_are_averaged_and_gaps_stay_empty():
    table = [*grid()[:3], studies.run(state=2_048, context=64, seed=1)]
    heat = opened(context_against_state(table))["data"][0]
    losses = [row["final"]["1024"]["loss_nats"] for row in (table[0], table[3])]
    assert heat["z"][0][0] == sum(losses) / 2
    assert heat["z"][1][1] is None


def test_the_lowest_cell_is_outlined():
    table = grid()
    view = opened(context_against_state(table))
    shape = view["layout"]["shapes"][0]
    lowest = min(value for line in view["data"][0]["z"] for value in line)
    assert view["data"][0]["z"][int(shape["y0"] + 0.5)][int(shape["x0"] + 0.5)] == lowest


def test_a_diverged_cell_is_crossed_out_and_said():
    view = opened(context_against_state([*grid()[:3], studies.diverged(state=8_192, context=256)]))
    assert (view["data"][1]["x"], view["data"][1]["y"]) == (["8.19K"], ["256"])
    assert "diverged" in view["note"]


def test_one_context_is_said_to_be_one():
    assert "One training context" in opened(context_against_state([studies.run()]))["note"]


def test_a_budget_takes_the_last_evaluation_within_it():
    row = studies.run()
    third, fourth = (row["curve"][index] for index in (5, 7))  # evaluations stand at every other point
    assert reached_within(row, third["train_s"]) == third["eval"]["1024"]
    assert reached_within(row, fourth["train_s"] - 1e-6) == third["eval"]["1024"]
    assert reached_within(row, 0.001) is None


def test_a_budget_takes_the_longest_context_that_was_evaluated_by_then():
    row = studies.run()
    row["curve"][1]["eval"] = {"256": 9.0}
    assert reached_within(row, row["curve"][1]["train_s"]) == 9.0
    assert reached_within(row, row["curve"][3]["train_s"]) == row["curve"][3]["eval"]["1024"]


def decaying(row: dict, at: int = 500) -> dict:
    """A run whose rate falls from this update on."""
    train = {"schedule": "wsd", "steps": 1_000, "warmup_steps": 0, "decay_share": 1.0 - at / 1_000}
    return {**row, "config": {**row["config"], "train": train}}


def test_a_budget_ends_where_the_rate_begins_to_decay():
    """A cheap setting that had decayed was held against a dear one that had not."""
    cheap, dear = (decaying(studies.run(state=state)) for state in (2_048, 65_536))
    budget = dear["curve"][9]["train_s"]  # half of its updates: the cheap one has done all of its own
    assert cheap["curve"][-1]["train_s"] < budget
    undecayed = {row["run_id"]: row["curve"][9]["eval"]["1024"] for row in (cheap, dear)}
    assert reached_within(cheap, budget) == undecayed[cheap["run_id"]]
    assert reached_within(cheap, budget) > cheap["curve"][-1]["eval"]["1024"]
    (shown,) = opened(at_a_time_budget([cheap, dear]))["data"][0]["z"]
    assert shown == list(undecayed.values())


def test_a_budget_shows_the_runs_at_the_drawn_rate_alone():
    rows = [studies.run(seed=seed) for seed in (0, 1)]
    tried = studies.run(lr=0.03, run_id="0" * 16)
    tried["curve"] = [
        {**point, "eval": {key: loss + 1 for key, loss in point["eval"].items()}} for point in tried["curve"]
    ]
    ((shown,),) = opened(at_a_time_budget([*rows, tried]))["data"][0]["z"]
    assert shown == sum(row["curve"][-1]["eval"]["1024"] for row in rows) / 2


def test_the_slider_ends_with_every_run_done_and_begins_with_the_first_evaluation():
    table = grid()
    figure = at_a_time_budget(table)
    last = opened(figure)["data"][0]["z"]
    assert {value for line in last for value in line} == {row["curve"][-1]["eval"]["1024"] for row in table}
    first = figure["views"]["0.0.0.0.0"]["data"][0]["z"]
    assert sum(value is not None for line in first for value in line) >= 1
    assert any(value is None for line in first for value in line)


def test_running_runs_count_within_a_budget_and_diverged_ones_do_not():
    table = [studies.unfinished("running", 500), studies.diverged(state=2_048)]
    heat = opened(at_a_time_budget(table))["data"][0]
    assert heat["x"] == ["8.19K"]


def test_an_a100s_hours_are_offered_where_they_are_predicted_and_said_to_be_a_prediction():
    table = [{**row, "predicted_a100_step_s": 1e-4 * (1 + row["state"]["elements"] / 8_192)} for row in grid()]
    figure = at_a_time_budget(table)
    clock = next(control for control in figure["controls"] if control["key"] == "clock")
    assert [option["value"] for option in clock["options"]] == ["here", "a100"]
    assert "on an A100" in figure["controls"][-1]["options"][0]["label"]
    views = {key: view for key, view in figure["views"].items() if key.split(".")[3] == "1" and "note" in view}
    assert all("Predicted by the cost model" in view["note"] for view in views.values())
    row = table[0]
    third = row["curve"][5]
    assert reached_within(row, third["step"] * row["predicted_a100_step_s"], "a100") == third["eval"]["1024"]
    assert reached_within(row, 0.9 * row["curve"][1]["step"] * row["predicted_a100_step_s"], "a100") is None
    plain = at_a_time_budget(grid())
    clock = next(control for control in plain["controls"] if control["key"] == "clock")
    assert [option["value"] for option in clock["options"]] == ["here"]
