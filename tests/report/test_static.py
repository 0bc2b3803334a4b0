"""Images drawn by matplotlib: of the stated size, with the description's texts and colours, and nothing left out."""

from __future__ import annotations

import io
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from isostate.config import UserError
from isostate.report import fit_checks, fit_data, fit_profiles, labels, static, style, traces
from isostate.report.fit_plane import plane
from isostate.report.views import figure
from tests.report.planted_fits import made


def drawn(data, **layout):
    """A figure of one view."""
    axes = {"xaxis": style.plain_axis("x"), "yaxis": style.plain_axis("y")}
    return figure("one", "One", "", [], lambda: {"data": data, "layout": {**axes, **layout}, "note": ""}, lambda: 1)


def pixels(described):
    return np.asarray(Image.open(io.BytesIO(static.image(described, "png"))).convert("RGB")).astype(int)


def amount(image, colour, within=12):
    """How many pixels have nearly this colour."""
    return int((np.abs(image - style._channels(colour)).max(axis=2) <= within).sum())


def words(svg):
    """The texts of an SVG, by their order."""
    root = ElementTree.fromstring(svg)
    return ["".join(node.itertext()).strip() for node in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.slow
def test_a_png_has_the_stated_size():
    for described, across, down in (
        (fit_data.against_inputs(made("state")), 1, 1), (fit_data.against_inputs(made("chinchilla")), 2, 1),
        (fit_data.against_inputs(made("state-all")), 2, 2), (fit_profiles.profile_panels(made("chinchilla")), 3, 2),
    ):  # fmt: skip
        image = Image.open(io.BytesIO(static.image(described, "png")))
        wanted = (across * static.WIDTH, down * static.HEIGHT + static.HEAD)
        assert static.size(described) == pytest.approx(wanted)
        assert image.size == tuple(round(side * static.DPI) for side in wanted)
        assert image.format == "PNG"


def test_a_panel_of_rows_is_as_high_as_its_rows():
    assert static.size(fit_checks.hold_out(made("state")))[1] == pytest.approx(1.0 + static.ROW + static.HEAD)


def test_an_svg_says_every_text_of_the_description_as_text():
    described = fit_data.against_inputs(made("chinchilla"))
    svg = static.image(described, "svg")
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert float(root.get("width").removesuffix("pt")) == pytest.approx(72 * static.size(described)[0])
    said = words(svg)
    for view in described["views"].values():
        for axis in (view["layout"]["xaxis"], view["layout"]["yaxis"]):
            assert axis["title"]["text"] in said
            assert set(axis.get("ticktext", [])) <= set(said)
        assert {trace["name"] for trace in view["data"] if trace.get("name")} <= set(said)
    assert said[-1] == described["title"]


def test_the_same_figure_gives_the_same_bytes():
    described = fit_data.against_inputs(made("state"))
    for kind in ("png", "svg"):
        assert static.image(described, kind) == static.image(described, kind)


def test_lines_points_bands_and_bars_have_the_descriptions_colours():
    x = [0.0, 1.0, 2.0]
    look = {**style.of_family("a", ["a"]), "color": style.COLOURS[2]}
    bare = amount(pixels(drawn([])), style.COLOURS[2])
    assert bare == 0
    line = traces.line(x, [0.0, 1.0, 0.0], look)
    dots = traces.points(x, [0.0, 1.0, 0.0], traces.marker("square", style.COLOURS[2], 9.0), None)
    hollow = traces.points(x, [0.0, 1.0, 0.0], traces.marker("square-open", style.COLOURS[2], 9.0), None)
    bar = traces.bar((1.0, 0.5), (0.2, 1.8), "x", style.COLOURS[2], "line-ns", "words")
    seen = {name: amount(pixels(drawn([trace])), style.COLOURS[2]) for name, trace in
            {"line": line, "dots": dots, "hollow": hollow, "bar": bar}.items()}  # fmt: skip
    assert all(count > 50 for count in seen.values()), seen
    assert seen["hollow"] < seen["dots"]
    assert amount(pixels(drawn([traces.band(x, [0, 0, 0], [1, 1, 1], style.COLOURS[2])])), style.COLOURS[2]) == 0
    faint = tuple(round(255 - 0.13 * (255 - channel)) for channel in style._channels(style.COLOURS[2]))
    image = pixels(drawn([traces.band(x, [0, 0, 0], [1, 1, 1], style.COLOURS[2])]))
    assert (np.abs(image - faint).max(axis=2) <= 2).sum() > 10_000


def test_a_value_outside_its_own_interval_is_drawn_all_the_same():
    bar = traces.bar((5.0, 1.0), (1.0, 2.0), "x", "#c0243c", "circle", "words")
    assert bar["error_x"]["array"] == [-3.0]
    image = pixels(
        drawn([bar], xaxis=style.plain_axis("x", range=[0.0, 6.0]), yaxis=style.plain_axis("y", range=[0.0, 2.0]))
    )
    red = np.flatnonzero((np.abs(image - style._channels("#c0243c")).max(axis=2) <= 12).any(axis=0))
    gap = np.max(np.diff(red))
    assert gap > 0.3 * (red[-1] - red[0])  # between the bar's end at 2 and the dot at 5 nothing is red


def test_log_axes_place_values_by_their_logarithm():
    marks = traces.points([1.0, 10.0, 100.0], [1.0, 1.0, 1.0], traces.marker("circle", "#c0243c", 9.0), None)
    axis = style.decimal_axis("x", 1.0, 100.0)
    image = pixels(drawn([marks], xaxis=axis))
    red = (np.abs(image - style._channels("#c0243c")).max(axis=2) <= 12).any(axis=0)
    starts = np.flatnonzero(np.diff(red.astype(int)) == 1)
    assert len(starts) == 3
    assert np.diff(starts)[0] == pytest.approx(np.diff(starts)[1], abs=2)


def test_contours_are_labelled_with_their_values():
    described = plane(made("chinchilla"))
    said = words(static.image(described, "svg"))
    (view,) = described["views"].values()
    levels = [f"{trace['contours']['start']:.3g}" for trace in view["data"] if trace["type"] == "contour"]
    assert set(levels) <= set(said)


def test_what_a_screen_alone_can_show_is_refused_and_nothing_is_left_out_silently():
    line = traces.line([0, 1], [0, 1], style.of_family("a", ["a"]))
    for strange in ({**line, "stackgroup": "one"}, {**line, "fill": "tozeroy", "fillcolor": "#000000"}):
        with pytest.raises(AssertionError):
            static.image(drawn([strange]), "png")
    with pytest.raises(KeyError):
        static.image(drawn([{"type": "heatmap", "z": [[1.0]]}]), "png")
    with pytest.raises(AssertionError, match="annotations"):
        static.image(drawn([line], annotations=[]), "png")


def test_words_stand_where_a_view_has_no_drawing():
    described = figure("one", "One", "", [], lambda: {"missing": "Nothing here."}, lambda: 0)
    assert "Nothing here." in words(static.image(described, "svg"))


@pytest.mark.parametrize("name", ["$x$ & <b>$", "100 %", "\\frac{1}{2}", "ünïcode α"])
def test_hostile_names_stay_the_text_they_are(name):
    entry = traces.legend_entry(labels.plotly_text(name), style.of_family("a", ["a"]))
    assert name in words(static.image(drawn([entry]), "svg"))


def test_without_matplotlib_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match=r"png needs matplotlib: pip install 'isostate\[figures\]'"):
        static.image(drawn([]), "png")


def test_a_users_own_settings_change_nothing():
    import matplotlib

    described = drawn([traces.line([0, 1], [0, 1], style.of_family("a", ["a"]))])
    plain = static.image(described, "png")
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 20.0, "axes.grid": False}):
        assert static.image(described, "png") == plain
        assert matplotlib.rcParams["font.size"] == 20.0  # and ours leave the user's as they were


def test_many_views_stand_three_abreast_and_four_in_a_square():
    assert [static.columns(count) for count in (1, 2, 3, 4, 5, 6, 10)] == [1, 2, 3, 2, 3, 3, 3]
