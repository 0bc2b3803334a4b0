from __future__ import annotations

from isostate.report import controls
from tests.report import studies


def test_sizes_are_tabs_and_names_in_conditions_are_harmless():
    row = studies.run(corpus="a\u202eb")
    size, condition = controls.shared_controls([row])
    assert size["kind"] == "tabs"
    assert "\u202e" not in condition["options"][0]["label"]


def test_only_runs_of_the_chosen_coordinates_are_selected():
    table = studies.full()
    table = [row for row in table if "family" in row]
    chosen = controls.select(table, (2, 64), ("bard", "bpe-1024", 1_000, 1_024), 64)
    assert chosen
    assert {(row["n_layers"], row["train_context"]) for row in chosen} == {(2, 64)}


def test_contexts_are_offered_in_order():
    done = [row for row in studies.full() if row["status"] == "done"]
    offered = controls.train_context_control(done, "slider")["options"]
    assert [option["label"] for option in offered] == ["64", "256", "1,024"]
    assert [option["value"] for option in controls.eval_context_control(done)["options"]] == [256, 1_024]
