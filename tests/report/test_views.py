from __future__ import annotations

from isostate.report import views


def drawn(weights: dict[tuple, int]):
    controls = [
        views.control("size", "size", "tabs", [("s", "small"), ("l", "large")]),
        views.control("x", "against", "select", [("steps", "updates"), ("s", "seconds")], "swap"),
        views.control("context", "context", "slider", [(64, "64"), (256, "256"), (1024, "1,024")]),
    ]
    return views.figure(
        "id", "title", "caption", controls,
        lambda size, context: {"data": [], "layout": {}, "note": f"{size}{context}"},
        lambda size, context: weights.get((size, context), 0),
    )  # fmt: skip


def test_every_combination_of_view_controls_is_drawn_under_its_indices():
    notes = {key: view["note"] for key, view in drawn({})["views"].items()}
    assert notes == {"0.0": "s64", "0.1": "s256", "0.2": "s1024", "1.0": "l64", "1.1": "l256", "1.2": "l1024"}


def test_the_figure_opens_where_most_runs_are():
    figure = drawn({("s", 256): 9, ("l", 1024): 3})
    assert [control["default"] for control in figure["controls"]] == [0, 1, 1]


def test_of_equals_the_larger_and_longer_opens():
    assert [control["default"] for control in drawn({})["controls"]] == [1, 1, 2]


def test_an_empty_figure_says_what_fills_it():
    assert views.empty("id", "title", "caption", "train something")["empty"] == "train something"
