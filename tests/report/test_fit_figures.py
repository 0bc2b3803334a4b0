"""Every figure of every law, described, written and opened in a browser."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from isostate import laws
from isostate.config import UserError
from isostate.laws import LAWS
from isostate.report import fit_panels, static, write_figures
from tests.laws.public import epoch, needs_tables
from tests.report import browser
from tests.report.planted_fits import failed, made, views

SIZE = np.array([2e3, 8e3, 3e4, 1e5, 4e5])


def five_points():
    return laws.fit_state(SIZE, 2.0 + 9.0 * SIZE**-0.3 + 0.004 * np.array([1, -1, 1, -1, 1]), bootstrap=200)


@pytest.mark.parametrize("name", LAWS)
def test_every_law_has_all_its_figures(name):
    law, panels = LAWS[name], fit_panels(made(name))
    several = len(law.inputs) > 1
    assert [panel["id"] for panel in panels] == [
        "data", *(["plane"] if len(law.inputs) == 2 else []), *(["predicted"] if several else []),
        "residuals", "profile", "holdout", "bootstrap",
    ]  # fmt: skip
    counts = {panel["id"]: len(panel["views"]) for panel in panels}
    assert counts["data"] == len(law.inputs)
    assert counts["residuals"] == (len(law.inputs) + 1 if several else 1)
    assert counts["profile"] == len(law.names)
    assert counts["bootstrap"] == len(law.derived or law.names)


@pytest.mark.parametrize("name", LAWS)
def test_every_view_of_every_law_is_drawn_with_titled_axes(name):
    for panel in fit_panels(made(name)):
        assert not panel["empty"]
        assert json.loads(json.dumps(panel, allow_nan=False)) == panel
        for view in views(panel):
            assert "missing" not in view, panel["id"]
            assert view["data"]
            assert view["layout"]["xaxis"]["title"]["text"]
            assert view["layout"]["yaxis"]["title"]["text"] or view["rows"]
            for axis in (view["layout"]["xaxis"], view["layout"]["yaxis"]):
                assert axis.get("type") != "log" or len(axis["tickvals"]) >= 2, panel["id"]


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_what_every_law_says_of_its_inputs_is_drawn_as_an_image(name):
    for panel in fit_panels(made(name)):
        if panel["id"] in ("data", "plane"):
            with Image.open(io.BytesIO(static.image(panel, "png"))) as image:
                assert image.size == tuple(round(side * static.DPI) for side in static.size(panel))


@pytest.mark.slow
def test_all_formats_are_written_in_one_call(tmp_path):
    folder = tmp_path / "new" / "figures"
    paths = write_figures(five_points(), folder)
    names = ("data", "residuals", "profile", "holdout", "bootstrap")
    assert [path.name for path in paths] == [
        "state.html", *(f"state-{name}.{kind}" for kind in ("png", "svg") for name in names),
    ]  # fmt: skip
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in paths)
    assert all(path.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for path in paths if path.suffix == ".png")


def test_a_figure_that_would_be_empty_is_no_image(tmp_path):
    fit = laws.fit_state(SIZE, 2.0 + 9.0 * SIZE**-0.3, bootstrap=0, holdout=False)
    written = {path.name for path in write_figures(fit, tmp_path, ("svg",))}
    assert written == {"state-data.svg", "state-residuals.svg", "state-profile.svg"}


def test_a_fit_that_failed_has_its_points_and_its_alarms(tmp_path):
    (panel,) = fit_panels(failed("chinchilla"))
    assert panel["id"] == "data"
    (page,) = write_figures(failed("chinchilla"), tmp_path, ("html",))
    assert "too few points" in page.read_text()


def test_an_unknown_format_names_the_nearest_and_writes_nothing(tmp_path):
    with pytest.raises(UserError, match=r"no figures as 'pngs' \(did you mean \"png\"\?\); allowed: html, png, svg"):
        write_figures(made("state"), tmp_path / "x", ("html", "pngs"))
    assert not (tmp_path / "x").exists()


@needs_tables
def test_the_chinchilla_fit_of_the_epoch_table_is_drawn():
    table = epoch()
    start = np.array([[1.8172, 482.01, 2085.43, 0.3478, 0.3658]])
    fit = laws.fit_law(laws.CHINCHILLA, {"N": table["N"], "D": table["D"]}, table["L"], starts=start, bootstrap=40)
    panels = {panel["id"]: panel for panel in fit_panels(fit)}
    assert "at N = 1.73B, D = 875M" in views(panels["residuals"])[0]["note"]  # the undertrained corner
    ends = views(panels["profile"])[3]["data"][1]["x"]
    assert ends[0] < 0.3473 < ends[1]


# In a browser


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("figures")
    fits = {"state": five_points(), "chinchilla": made("chinchilla"), "state-all": made("state-all")}
    return {name: write_figures(fit, folder, ("html",))[0] for name, fit in fits.items()}


@pytest.mark.browser
@pytest.mark.parametrize("name", ["state", "chinchilla", "state-all"])
def test_every_tab_of_every_figure_draws_something_of_its_own(started, written, name):
    with browser.opened(started, written[name], **browser.DESKTOP) as opened:
        for section in opened.page.locator(".figure").all():
            identity = section.get_attribute("id").removeprefix("figure-")
            expect(section.locator(".main-svg").first).to_be_visible()
            drawings = [opened.drawn(identity)]
            for tab in section.get_by_role("tab").all()[1:]:
                tab.click()
                drawings.append(opened.drawn(identity))
            assert len(set(drawings)) == len(drawings)
            assert min(map(len, drawings)) > 500


@pytest.mark.browser
@pytest.mark.parametrize("name", ["state", "chinchilla"])
def test_a_phone_shows_a_fit_without_sideways_scrolling(started, written, name):
    with browser.opened(started, written[name], **browser.PHONE) as opened:
        assert opened.page.evaluate("document.documentElement.scrollWidth") == 360


@pytest.mark.browser
def test_resting_on_a_point_says_its_inputs(started, written):
    with browser.opened(started, written["chinchilla"], **browser.DESKTOP) as opened:
        plot = opened.figure("predicted").locator(".drawing")
        plot.scroll_into_view_if_needed()
        box = plot.locator(".scatterlayer .point").nth(3).bounding_box()
        opened.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        text = plot.locator(".hoverlayer").text_content()
        assert "N = " in text
        assert "by the law" in text


@pytest.mark.browser
def test_a_hold_out_of_one_row_does_not_fill_the_canvas(started, written):
    with browser.opened(started, written["state"], **browser.DESKTOP) as opened:
        heights = {
            name: opened.figure(name).locator(".canvas").bounding_box()["height"] for name in ("data", "holdout")
        }
        assert heights["holdout"] == 250
        assert heights["data"] > 400


@pytest.mark.browser
def test_paper_shows_every_tab_of_a_fit(started, written):
    with browser.opened(started, written["chinchilla"], **browser.DESKTOP) as opened:
        opened.page.emulate_media(media="print")
        # N, D; plane; predicted; three residuals; five profiles; the hold-out; a, b, G
        expect(opened.page.locator(".printed")).to_have_count(2 + 1 + 1 + 3 + 5 + 1 + 3, timeout=30_000)
