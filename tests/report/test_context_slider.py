"""The law as the training context grows."""

from __future__ import annotations

from isostate.report.context_slider import at_both_ends, by_training_context
from isostate.report.fits import fit_laws
from tests.report import planted_article, studies
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
    assert [trace["name"] for trace in left] == ["2.05K", "4.1K", "8.19K", "16.4K", "32.8K", "65.5K"]
    seeds = [row for row in rows if row["train_context"] == 256 and row["state"]["elements"] == 2_048]
    mean = sum(row["curve"][-1]["eval"]["1024"] for row in seeds) / 2
    assert left[0]["y"][-1] == mean
    assert any(trace.get("fill") == "toself" for trace in right)
    assert view["panels"]["titles"] == [
        "<b>Learning curves</b> trained at 256",
        "<b>Loss against state</b> trained at 256",
    ]


def test_the_axes_stay_from_context_to_context():
    rows = table()
    figure = by_training_context(rows, [])
    layouts = [view["layout"] for view in figure["views"].values()]
    for axis in ("xaxis", "yaxis", "xaxis2", "yaxis2"):
        assert len({str(layout[axis]["range"]) for layout in layouts}) == 1


def test_families_together_show_their_smallest_state_thin_and_their_largest_thick():
    rows = [row for row in planted_article.contexts() if row["family"] in ("window", "softmax")]
    view = opened(by_training_context(rows, fit_laws(rows, studies.STUDY)))
    left = [trace for trace in view["data"] if "xaxis" not in trace]
    assert [(trace["meta"]["family"], trace["name"], trace["line"]["width"]) for trace in left] == [
        ("softmax", "2.1M", 2.4), ("window", "2.82K", 1.2), ("window", "132K", 2.4),
    ]  # fmt: skip
    assert [trace["name"] for trace in view["data"] if trace.get("showlegend", True)] == ["softmax", "window"]


def test_both_ends_stand_above_each_other_on_the_same_axes():
    rows = planted_article.contexts()
    laws = fit_laws(rows, studies.STUDY)
    view = opened(at_both_ends(rows, laws))
    assert [title.rpartition(" ")[2] for title in view["panels"]["titles"]] == ["128", "128", "4,096", "4,096"]
    layout = view["layout"]
    assert (layout["xaxis"], layout["yaxis"]) == (layout["xaxis3"], layout["yaxis3"])
    assert (layout["xaxis2"], layout["yaxis2"]) == (layout["xaxis4"], layout["yaxis4"])
    slider = by_training_context(rows, laws)
    last = slider["views"]["0.0.4.3"]["data"]  # all families at 4,096
    below = [trace for trace in view["data"] if trace.get("xaxis") in ("x3", "x4")]
    assert [trace["y"] for trace in below] == [trace["y"] for trace in last]
    assert not any(trace["showlegend"] for trace in below)


def test_one_context_has_no_ends():
    assert "[data] context" in at_both_ends([studies.run()], [])["empty"]
