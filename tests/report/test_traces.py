from __future__ import annotations

import json

import numpy as np

from isostate.report import style, traces

LOOK = style.of_family("a", ["a"])


def test_columns_of_numpy_become_plain_json():
    trace = traces.line(np.array([1.0, 2.0]), np.arange(2), LOOK)
    assert json.loads(json.dumps(trace))["y"] == [0, 1]


def test_a_band_goes_out_along_the_high_end_and_back_along_the_low():
    band = traces.band([1, 2, 3], [0, 0, 0], [5, 6, 7], "#0c6ccc")
    assert band["x"] == [1, 2, 3, 3, 2, 1]
    assert band["y"] == [5, 6, 7, 0, 0, 0]
    assert band["fillcolor"].startswith("rgba(12,108,204,")


def test_a_bar_reaches_from_its_value_to_either_end():
    for along, place in (("x", (2.0, "row")), ("y", ("row", 2.0))):
        bar = traces.bar(place, (1.5, 4.0), along, "#000000", "circle", "words")
        assert bar[f"error_{along}"]["array"] == [2.0]
        assert bar[f"error_{along}"]["arrayminus"] == [0.5]
        assert bar["hovertext"] == ["words"]


def test_a_level_crosses_the_whole_drawing():
    assert traces.level("y", 1.0) | {"line": None} == {
        "type": "line", "y0": 1.0, "y1": 1.0, "xref": "paper", "x0": 0, "x1": 1, "line": None,
    }  # fmt: skip


def test_a_legend_entry_draws_no_point():
    entry = traces.legend_entry("name", LOOK)
    assert (entry["x"], entry["y"], entry["name"]) == ([None], [None], "name")
