"""The law as the training context grows."""

from __future__ import annotations

from isostate.report.context_slider import by_training_context
from isostate.report.fits import fit_laws
from tests.report import studies
from tests.report.test_figures import opened

CONTEXTS = (64, 256, 1024)


def table():
    return [
        studies.run(state=state, context=context, seed=seed)
        for context in CONTEXTS
        for state in studies.STATES
        for seed in ((0, 1) if context == 256 else (0,))
    ]


def test_one_context_is_told_what_would_fill_it():
    assert "[data] context" in by_training_context([studies.run()], [])["empty"]


def test_the_slider_goes_through_the_contexts_with_curves_left_and_the_law_right():
    rows = table()
    figure = by_training_context(rows, fit_laws(rows, studies.STUDY))
    slider = figure["controls"][-1]
    assert (slider["kind"], [option["value"] for option in slider["options"]]) == ("slider", ["64", "256", "1024"])
    view = opened(figure)  # context 256 has most runs
    left = [trace for trace in view["data"] if "xaxis" not in trace]
    right = [trace for trace in view["data"] if trace.get("xaxis") == "x2"]
    assert [trace["name"] for trace in left] == ["2K", "4K", "8K", "16K", "32K", "64K"]
    seeds = [row for row in rows if row["train_context"] == 256 and row["state"]["elements"] == 2_048]
    mean = sum(row["curve"][-1]["eval"]["1024"] for row in seeds) / 2
    assert left[0]["y"][-1] == mean
    assert any(trace.get("fill") == "toself" for trace in right)
    assert view["layout"]["xaxis"]["domain"][1] < view["layout"]["xaxis2"]["domain"][0]


def test_the_axes_stay_from_context_to_context():
    rows = table()
    figure = by_training_context(rows, [])
    layouts = [view["layout"] for view in figure["views"].values()]
    assert len({str(layout["yaxis2"]["range"]) for layout in layouts}) == 1
    assert len({str(layout["xaxis2"]["range"]) for layout in layouts}) == 1
