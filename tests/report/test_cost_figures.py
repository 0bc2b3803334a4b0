"""isostate.report.cost_figures: what a sweep draws, and its files."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.report import static
from isostate.report.cost_figures import render_sweep, sweep_figure, write_sweep
from tests.report import browser

CONTEXTS = [1024, 2048, 4096]


def answer(**left_out):
    rows = [
        {
            "context": context,
            "forward.seconds": 1e-5 * context,
            "decode.seconds": 0.01,
            "weights_bytes": 10**10,
            "state.batch_bytes": 2**19 * context,
            "memory_bytes": 8 * 10**10,
            "forward.matmul_flops": 10**10 * context,
            "decode.token_flops": 10**10,
        }
        for context in CONTEXTS
    ]
    setting = {"batch": 1, "context": 1024, "dtype": "bf16", "hardware": "h100-sxm"}
    return {
        "model": "a <b> model",
        "axis": "context",
        "rows": [{**row, **left_out} for row in rows],
        "setting": setting,
    }


def lines(view):
    return [trace["y"] for trace in view["data"] if trace.get("mode") == "lines"]


def test_each_measure_has_its_lines_and_units():
    figure = sweep_figure(answer())
    assert [option["label"] for option in figure["controls"][0]["options"]] == ["time", "memory", "FLOPs"]
    time, memory, work = figure["views"].values()
    assert lines(time) == [[1e-5 * context for context in CONTEXTS], [0.01] * 3]
    assert len(lines(memory)) == 3
    assert lines(work)[1] == [1e10] * 3
    assert [view["layout"]["yaxis"]["title"]["text"] for view in (time, memory, work)] == [
        "seconds", "bytes", "FLOPs in matrix products"]  # fmt: skip
    assert time["layout"]["xaxis"]["ticktext"] == ["1,024", "2,048", "4,096"]


def test_what_a_model_does_not_have_is_not_drawn():
    image = sweep_figure(answer(**{"decode.seconds": None, "decode.token_flops": None, "memory_bytes": None}))
    time, memory, _ = image["views"].values()
    assert len(lines(time)) == 1
    assert len(lines(memory)) == 2
    stateless = sweep_figure(answer(**{"state.batch_bytes": 0}))
    assert len(lines(list(stateless["views"].values())[1])) == 2  # a logarithm has no place for nothing


def test_files_are_named_by_what_is_swept(tmp_path):
    paths = write_sweep(answer(), tmp_path / "new", ["html", "png", "svg"])
    assert [path.name for path in paths] == ["sweep-context.html", "sweep-context.png", "sweep-context.svg"]
    assert paths[1].read_bytes().startswith(b"\x89PNG")
    assert "a decoded step" in paths[2].read_text()
    with pytest.raises(UserError, match=r"no figures as 'pgn' \(did you mean \"png\"\?\)"):
        write_sweep(answer(), tmp_path, ["pgn"])


def test_the_figure_can_be_printed():
    assert static.columns(len(sweep_figure(answer())["views"])) == 3


@pytest.mark.browser
def test_the_page_draws_every_tab_without_complaint(started, tmp_path):
    path = tmp_path / "sweep.html"
    path.write_text(render_sweep(answer(), sweep_figure(answer())))
    with browser.opened(started, path, **browser.DESKTOP) as opened:
        assert "<b>" in opened.page.locator("h1").inner_text()
        first = opened.drawn("sweep")
        opened.figure("sweep").get_by_role("tab", name="memory").click()
        assert opened.drawn("sweep") != first
        assert "memory of the device" in opened.drawn("sweep")
