from __future__ import annotations

from isostate.report import rows
from tests.report import studies


def test_only_finished_runs_are_drawn():
    table = [
        studies.run(),
        studies.diverged(state=4_096),
        studies.unfinished("running", 200, state=2_048),
        studies.pending(),
    ]
    assert rows.drawn(table) == [table[0]]


def test_of_several_learning_rates_the_one_with_the_lowest_mean_loss_is_drawn():
    slow = [studies.run(seed=seed, lr=1e-4) for seed in (0, 1)]
    fast = [studies.run(seed=seed, lr=3e-3) for seed in (0, 1)]
    for row in slow:
        for final in row["final"].values():
            final["loss_nats"] += 0.5
    lucky = slow[0]["final"]["1024"]
    lucky["loss_nats"] = fast[0]["final"]["1024"]["loss_nats"] - 0.01  # one lucky seed does not carry its mean
    assert rows.drawn(slow + fast) == fast


def test_a_rate_tried_with_one_lucky_seed_does_not_take_the_place_of_three():
    chosen = [studies.run(seed=seed, lr=3e-3) for seed in (0, 1, 2)]
    tried = studies.run(seed=0, lr=1e-3)
    for final in tried["final"].values():
        final["loss_nats"] -= 0.1
    assert rows.drawn([tried, *chosen]) == chosen


def test_learning_rates_are_chosen_cell_by_cell():
    first, second = studies.run(state=2_048, lr=1e-3), studies.run(state=4_096, lr=3e-3)
    assert len(rows.drawn([first, second])) == 2


def test_sizes_are_ordered_by_parameters_and_labelled():
    table = [studies.run(size=studies.SIZES[1]), studies.run()]
    assert rows.sizes(table) == [(2, 64), (4, 128)]
    assert rows.size_label(table, (4, 128)) == "985K parameters without embedding (4 layers, width 128)"


def test_a_size_whose_families_differ_shows_a_range():
    table = [studies.run("power-2"), studies.run("window", size=(2, 64, 150_000))]
    assert rows.size_count(table, (2, 64)) == "65.5K–84.5K"


def test_a_condition_is_labelled_by_what_varies():
    table = [studies.run(), studies.run(steps=2_000)]
    every = rows.conditions(table)
    assert [rows.condition_label(key, every) for key in every] == ["1,000 updates", "2,000 updates"]
    assert rows.condition_label(every[0], every[:1]) == "bard, bpe-1024, 1,000 updates, 1,024 tokens an update"


def test_seeds_of_a_state_stand_together_in_order_of_state():
    table = [studies.run(state=8_192, seed=1), studies.run(state=2_048), studies.run(state=8_192, seed=0)]
    groups = rows.by_state(table)
    assert list(groups) == [2_048, 8_192]
    assert [row["seed"] for row in groups[8_192]] == [0, 1]


def test_a_loss_that_was_not_finite_is_no_evaluation():
    lost = studies.run(seed=1)
    lost["final"]["1024"]["loss_nats"] = None
    table = [studies.run(), lost]
    assert rows.evaluated_at(table, 1_024) == table[:1]
    assert rows.evaluated_at(table, 256) == table
    assert rows.evaluated_at(table, 64) == []


def test_a_learning_rate_that_lost_a_run_is_not_the_best():
    lost = studies.run(lr=1e-2)
    lost["final"]["1024"]["loss_nats"] = None
    assert [row["lr"] for row in rows.drawn([lost, studies.run()])] == [0.003]


def test_losses_of_a_setting_stand_together():
    table = [studies.run(seed=0), studies.run(seed=1), studies.run(state=2_048)]
    table[1]["final"]["1024"]["loss_nats"] = 3.5
    cell, other = rows.cell(table[0]), rows.cell(table[2])
    assert rows.losses(table) == rows.losses(table, 1_024)
    assert rows.losses(table)[cell] == [rows.final_loss(table[0], 1_024), 3.5]
    assert rows.losses(table, 256)[cell] == [rows.final_loss(row, 256) for row in table[:2]]
    assert (len(rows.losses(table)[other]), rows.losses([])) == (1, {})
