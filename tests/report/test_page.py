"""The page's text, and what a browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from isostate.report import page
from isostate.report.fits import fit_laws
from tests.report import browser, studies

FIGURES = (
    "state",
    "curves",
    "position",
    "by-context",
    "contexts",
    "budget",
    "fit",
)  # of a study with laws in the state


@pytest.fixture(scope="module")
def small_page() -> str:
    table = studies.small()
    return page.render(studies.STUDY, table, fit_laws(table, studies.STUDY))


def test_question_answer_and_facts_stand_above_everything(small_page):
    head = small_page[: small_page.index("<section")]
    assert studies.STUDY["question"] in head
    assert "At equal state power-2 has the lowest loss" in head
    assert "20 runs · 4 families · 1 model size · bard, bpe-1024" in head
    assert "of training in all" in head


def test_all_figures_and_three_tables_are_there(small_page):
    figures = [f"figure-{name}" for name in (*FIGURES, "best-state")]
    for identity in (*figures, "table-laws", "table-runs", "table-where"):
        assert small_page.count(f'id="{identity}"') == 1


def test_only_the_pages_own_scripts_may_run(small_page):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', small_page).group(1)
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    own = {
        base64.b64encode(hashlib.sha256(s.encode()).digest()).decode()
        for s in re.findall(r"<script>(.*?)</script>", small_page, re.DOTALL)
    }
    assert allowed == own
    assert len(own) == 2
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert "unsafe-eval" not in policy


def test_nothing_is_loaded_from_anywhere(small_page):
    own = re.sub(r"<script.*?</script>", "", small_page, flags=re.DOTALL)
    assert not re.search(r"(src|href|url|@import|srcset)\s*[=(]", own)
    assert "//" not in own.replace("/* ", "")


@pytest.mark.slow
def test_hostile_names_leave_the_page_with_its_own_scripts_only():
    study, table = studies.hostile()
    text = page.render(study, table, fit_laws(table, study))
    assert len(re.findall(r"<script", re.sub(re.escape(page.asset("plotly-cartesian.min.js")), "", text))) == 3
    outside = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    assert "<img" not in outside
    assert "<a " not in outside
    assert not set("\u202e\u2066\u2028") & set(text)


def test_names_that_look_like_placeholders_stay_as_they_are():
    table = studies.small()
    text = page.render({**studies.STUDY, "question": "$data ${plotly} $$"}, table, [])
    assert "<bdi>$data ${plotly} $$</bdi>" in text


def test_a_study_without_runs_has_a_page_that_says_what_fills_it():
    text = page.render(studies.STUDY, [], [])
    assert text.count('class="empty"') >= 8
    assert "No run has finished yet" in text


def test_one_run_of_each_kind_alone_makes_a_page():
    for row in (studies.run(), studies.diverged(), studies.unfinished("died", 0), studies.pending()):
        assert row["run_id"] in page.render(studies.STUDY, [row], fit_laws([row], studies.STUDY))


# In a browser


@pytest.mark.browser
def test_every_figure_is_drawn_without_a_complaint_or_a_request(full_page):
    for identity in FIGURES:
        expect(full_page.figure(identity).locator(".main-svg").first).to_be_visible()
        assert len(full_page.drawn(identity)) > 1_000


@pytest.mark.browser
@pytest.mark.parametrize("identity", FIGURES)
def test_every_tab_changes_what_is_drawn(full_page, identity):
    tabs = full_page.figure(identity).get_by_role("tab")
    assert tabs.count() == 2
    first = full_page.drawn(identity)
    tabs.nth(1).click()
    assert tabs.nth(1).get_attribute("aria-selected") == "true"
    assert full_page.drawn(identity) != first
    tabs.nth(1).press("ArrowLeft")
    assert tabs.nth(0).get_attribute("aria-selected") == "true"
    assert full_page.drawn(identity) == first


@pytest.mark.browser
@pytest.mark.parametrize(
    "identity, keys",
    [("state", ["train_context", "eval_context", "family"]), ("by-context", ["family"]),
     ("curves", ["train_context", "family", "state", "y", "x"]), ("position", ["family", "eval_context"]),
     ("fit", ["train_context", "eval_context", "shown", "family"]), ("contexts", ["family"]), ("budget", ["family"])],
)  # fmt: skip
def test_every_option_of_every_selector_draws_something_of_its_own(full_page, identity, keys):
    assert full_page.figure(identity).locator("select").count() == len(keys)
    for key in keys:
        selector = full_page.control(identity, key)
        opened_at = selector.input_value()
        values = selector.locator("option").evaluate_all("options => options.map(option => option.value)")
        drawings = []
        for value in values:
            selector.select_option(value)
            drawings.append(full_page.drawn(identity))
        assert len(set(drawings)) == len(values) > 1, key
        selector.select_option(opened_at)


@pytest.mark.browser
@pytest.mark.parametrize(
    "identity, key", [("position", "train_context"), ("by-context", "train_context"), ("budget", "budget")]
)
def test_every_stop_of_a_slider_is_named_and_drawn(full_page, identity, key):
    slider = full_page.control(identity, key)
    slider.focus()
    slider.press("Home")
    shown = full_page.figure(identity).locator("output")
    drawings, names = [full_page.drawn(identity)], [shown.inner_text()]
    for _ in range(int(slider.get_attribute("max"))):
        slider.press("ArrowRight")
        drawings.append(full_page.drawn(identity))
        names.append(shown.inner_text())
    assert len(set(names)) == len(names) > 2
    assert len(set(drawings)) > len(drawings) // 2  # between two stops of a budget no run need have been evaluated
    assert drawings[0] != drawings[-1]


@pytest.mark.browser
def test_a_combination_that_was_not_trained_is_said_in_words(full_page):
    full_page.figure("state").get_by_role("tab").nth(1).click()
    full_page.control("state", "train_context").select_option("64")
    assert "was not trained at this context" in full_page.drawn("state")
    full_page.control("state", "train_context").select_option("256")
    assert len(full_page.drawn("state")) > 1_000


@pytest.mark.browser
def test_resting_on_a_point_says_everything(full_page):
    plot = full_page.figure("state").locator(".drawing")
    plot.scroll_into_view_if_needed()
    box = plot.locator(".scatterlayer .point").nth(1).bounding_box()  # the first is a hold-out's
    full_page.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    text = plot.locator(".hoverlayer").text_content()
    for part in ("elements", "nats", "learning rate", "parameters"):
        assert part in text


@pytest.mark.browser
def test_a_figure_is_saved_as_svg_in_light_colours(started, pages):
    with browser.opened(started, pages["full"], color_scheme="dark", **browser.DESKTOP) as opened:
        with opened.page.expect_download() as download:
            opened.figure("state").get_by_role("button", name="Save as SVG").click()
        text = Path(download.value.path()).read_text()
    assert download.value.suggested_filename == "isostate-state.svg"
    assert text.startswith("<svg")
    assert "loss (nats per token)" in text
    assert "rgb(255, 255, 255)" in text


@pytest.mark.browser
@pytest.mark.parametrize("name", ["full", "hostile", "empty"])
def test_a_phone_shows_the_page_without_sideways_scrolling(started, pages, name):
    with browser.opened(started, pages[name], **browser.PHONE) as opened:
        width = opened.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert width == [360, 360]
        right = "plots => Math.max(0, ...plots.map(plot => plot.getBoundingClientRect().right))"
        assert opened.page.locator(".drawing, .controls, select").evaluate_all(right) <= 360


@pytest.mark.browser
def test_a_window_made_narrower_draws_again(full_page):
    full_page.page.set_viewport_size({"width": 500, "height": 900})
    svg = full_page.figure("state").locator(".main-svg").first
    expect(svg).to_have_attribute("width", re.compile("4[0-9][0-9]"))


@pytest.mark.browser
def test_dark_and_light_are_followed(full_page):
    paper, ink = "getComputedStyle(document.body).backgroundColor", "#figure-state .xtitle"
    fill = "node => node.style.fill"
    light = (full_page.page.evaluate(paper), full_page.page.locator(ink).evaluate(fill))
    full_page.page.emulate_media(color_scheme="dark")
    dark = (full_page.page.evaluate(paper), full_page.page.locator(ink).evaluate(fill))
    assert light == ("rgb(255, 255, 255)", "rgb(22, 25, 29)")
    assert dark == ("rgb(20, 23, 26)", "rgb(230, 233, 236)")


@pytest.mark.browser
def test_paper_shows_every_tab_at_its_defaults_in_light_without_controls(started, pages):
    with browser.opened(started, pages["full"], color_scheme="dark", **browser.DESKTOP) as opened:
        first = opened.page.locator("#figure-state .shown")
        opened.control("state", "eval_context").select_option("256")
        opened.page.emulate_media(media="print", color_scheme="dark")
        expect(opened.page.locator(".printed")).to_have_count(2 * len(FIGURES), timeout=30_000)
        assert "evaluated at context: 1,024 tokens" in first.first.inner_text()
        assert "985K parameters without embedding" in first.nth(1).inner_text()
        assert opened.page.locator(".controls").first.is_hidden()
        assert opened.page.locator(".export").first.is_hidden()
        assert opened.page.locator(".canvas").first.is_hidden()
        assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert opened.page.locator(".printed .xtitle").first.evaluate("node => node.style.fill") == "rgb(22, 25, 29)"
        opened.page.emulate_media(media="screen", color_scheme="dark")
        expect(opened.page.locator(".printed")).to_have_count(0, timeout=30_000)
        assert opened.control("state", "eval_context").input_value() == "256"


@pytest.mark.browser
def test_printing_gives_pages_with_the_figures(started, pages):
    with browser.opened(started, pages["full"], **browser.DESKTOP) as opened:
        count = "window.ready = document.querySelectorAll('.printed .main-svg').length"
        opened.page.evaluate(f"addEventListener('beforeprint', () => {{ {count} }})")  # after the page's own
        assert opened.page.pdf(format="A4").startswith(b"%PDF")
        assert opened.page.evaluate("window.ready") >= 2 * len(FIGURES)
        assert opened.page.locator(".printed").count() == 0


@pytest.mark.browser
def test_hostile_names_do_nothing_wherever_they_are_shown(started, pages):
    with browser.opened(started, pages["hostile"], **browser.DESKTOP) as opened:
        for point in opened.page.locator(".scatterlayer .point").all()[:40]:
            point.dispatch_event("mousemove")
        for selector in opened.page.locator("select").all():
            for value in selector.locator("option").evaluate_all("options => options.map(option => option.value)"):
                selector.select_option(value)
        opened.control("state", "family").select_option("")
        opened.page.emulate_media(media="print")
        expect(opened.page.locator(".printed")).to_have_count(len(FIGURES) - 1, timeout=30_000)  # it has one context
        assert opened.page.evaluate("window.hacked") is None
        assert opened.page.locator("img, main script, iframe, svg a[href]").count() == 0
        assert "</script>" in opened.page.locator("h1").inner_text()  # shown, as the text it is
        legend = opened.figure("state").locator(".drawing .legend").text_content()
        assert all(studies.HOSTILE[name] in legend for name in ("link", "image", "quotes"))


@pytest.mark.browser
def test_a_policy_stops_what_would_run_anyway(started, pages):
    """The last line: were a name to become markup, the policy would still keep it from running."""
    inside = started.new_context()
    tab = inside.new_page()
    tab.goto(pages["empty"].as_uri())
    tab.evaluate("document.body.innerHTML += '<img src=x onerror=\"window.hacked = 1\">'")
    tab.evaluate(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hacked = 2'}))"
    )
    refused = tab.evaluate("fetch('https://example.org/').then(() => 'sent', () => 'refused')")
    assert (refused, tab.evaluate("window.hacked")) == ("refused", None)
    inside.close()


@pytest.mark.browser
def test_an_empty_study_has_no_figure_and_no_complaint(started, pages):
    with browser.opened(started, pages["empty"], **browser.DESKTOP) as opened:
        assert opened.page.locator(".figure .empty").count() == len(FIGURES) + 1


def test_losses_that_were_not_finite_make_a_page_all_the_same():
    table = [studies.run(state=state) for state in studies.STATES]
    for final in table[0]["final"].values():
        final["loss_nats"] = final["bits_per_byte"] = None
        final["by_position"]["loss_nats"][-1] = None
    table[0]["curve"][1].update(train_loss_nats=None, eval={"256": None, "1024": None})
    table[1]["final"]["1024"]["by_position"]["loss_nats"][-1] = None
    assert "The loss of power-2 falls from" in page.render(studies.STUDY, table, fit_laws(table, studies.STUDY))


def test_a_study_without_a_question_is_headed_by_its_name():
    assert "<h1><bdi>state-scaling</bdi></h1>" in page.render({**studies.STUDY, "question": ""}, [], [])
