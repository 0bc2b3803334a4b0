"""The page of several studies: its parts, its links, its policy; and what a browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import re

import pytest
from playwright.sync_api import expect

from isostate.report.article import NOT_TRAINED, Chapter, Shown, render_article
from isostate.report.chapter_figures import draw
from isostate.report.fits import fit_laws
from tests.report import browser, planted_article, studies

PLACEHOLDER = "CENTRAL PLOT: x axis is state dim <here>"
CLAIMS = [
    {"claim": "State pays & pays", "source": "Context", "verdict": "confirmed", "evidence": "0.5 [0.4, 0.6]",
     "chapter": "study-laws"},
    {"claim": "S* is of the order of N", "source": "Model Size", "verdict": "refuted", "evidence": "0.02 [0.01, 0.03]",
     "chapter": "study-size"},
    {"claim": "The large model uses it better", "source": "Model Size", "verdict": "undecided", "evidence": "–",
     "chapter": "study-laws"},
]  # fmt: skip


def chapter(identity: str, table: list[dict], names: tuple[str, ...], laws=("state",)) -> Chapter:
    fits = fit_laws(table, {"fit": [{"law": law} for law in laws]})
    shown = tuple(Shown(draw(name, table, fits), (PLACEHOLDER,) if name == "state" else ()) for name in names)
    return Chapter(
        identity, f"Chapter on {identity}", f"study-{identity}", ("First words.", "Second <words>."), shown, table, fits
    )


@pytest.fixture(scope="module")
def text() -> str:
    small = studies.small()
    chapters = [
        chapter("laws", small, ("state", "largest", "curves", "fit")),
        Chapter("later", "Chapter on later", "another", ("What it will measure.",)),
        chapter("size", planted_article.sizes(), ("state", "best-state"), ("state", "state-params")),
    ]
    return render_article("State laws", "How does loss fall?", chapters, CLAIMS)


def test_every_id_is_there_once_and_every_link_leads_to_one(text):
    own = re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)
    ids = re.findall(r' id="([^"]+)"', own)
    assert len(set(ids)) == len(ids)
    links = re.findall(r'href="([^"]+)"', own)
    assert len(links) >= 3 + 6 + 3
    assert all(link.startswith("#") and link[1:] in ids for link in links)


def test_the_introduction_stands_above_the_claims_as_the_text_it_is():
    text = render_article("A", "Q?", [], CLAIMS, ["State is <what> a layer hands on."], 'a"b.md')
    before, _, after = text.partition('<section id="claims">')
    assert '<p class="text">State is &lt;what&gt; a layer hands on.</p>' in before
    assert '<a href="a&quot;b.md">a&quot;b.md</a>' in before
    assert 'id="intro"' not in after
    assert 'id="intro"' not in render_article("A", "Q?", [], CLAIMS)


def test_a_figure_that_stands_in_two_chapters_has_an_id_in_each(text):
    assert 'id="figure-laws-state"' in text
    assert 'id="figure-size-state"' in text
    assert text.count("Figure 1</span> Loss against state") == 1
    assert text.count("Figure 5</span> Loss against state") == 1


def test_a_chapter_has_its_words_its_facts_its_laws_and_runs(text):
    part = text[text.index('id="chapter-laws"') : text.index('id="chapter-later"')]
    assert '<p class="text">First words.</p><p class="text">Second &lt;words&gt;.</p>' in part
    assert "20 runs · 4 families" in part
    assert re.search(r"<summary>Laws <small>8 fits</small></summary>.*<table class=\"laws\">", part)
    assert re.search(r"<summary>Runs <small>20 runs</small></summary>.*<table class=\"runs\">", part)
    assert re.search(r"Study <bdi>study-laws</bdi>, records <code>[0-9a-f]{16}</code>", part)


def test_a_study_without_runs_leaves_its_chapter_with_one_sentence(text):
    part = text[text.index('id="chapter-later"') : text.index('id="chapter-size"')]
    assert "What it will measure." in part
    assert part.count(NOT_TRAINED) == 1
    assert '<section class="figure"' not in part


def test_the_notes_placeholders_stand_where_they_are_filled(text):
    assert text.count("<q>CENTRAL PLOT: x axis is state dim &lt;here&gt;</q>") == 4  # in the contents and at the figure


def test_verdicts_are_said_in_words_and_lead_to_their_chapters(text):
    part = text[text.index('<section id="claims">') : text.index("<nav")]
    for claim in CLAIMS:
        assert f'class="verdict {claim["verdict"]}"' in part
        assert f"{claim['verdict']}</span>" in part
    assert "State pays &amp; pays" in part
    assert part.count('href="#chapter-laws"') == 2


def test_long_evidence_shows_its_first_part_and_unfolds_the_rest():
    long = (
        "fall in nats +0.061 [+0.043, +0.080]; seed noise 0.0066 (68 degrees of freedom), taken for 32 settings of one"
    )
    for evidence, folded in (("a 1; b 2", 0), (long, 1)):
        page = render_article("T", "Q?", [], [{**CLAIMS[0], "evidence": evidence}])
        assert page.count("<details><summary>more</summary><bdi>seed noise 0.0066 (68") == folded
        assert page.count("<bdi>a 1; b 2</bdi>") == 1 - folded


def test_a_verdict_that_is_none_is_refused():
    with pytest.raises(AssertionError, match="perhaps"):
        render_article("T", "Q?", [Chapter("laws", "L", "study-laws")], [{**CLAIMS[0], "verdict": "perhaps"}])


def test_a_claim_of_a_study_without_a_chapter_names_the_study():
    page = render_article("T", "Q?", [Chapter("laws", "L", "study-laws")], [{**CLAIMS[0], "chapter": "<other>"}])
    assert "<bdi>&lt;other&gt;</bdi>" in page


def test_only_the_pages_own_scripts_may_run(text):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text).group(1)
    scripts = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    own = {base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == own
    assert len(scripts) == 2  # plotly once, whatever the chapters
    assert "default-src 'none'" in policy


def test_the_same_chapters_give_the_same_page():
    made = [render_article("T", "Q?", [chapter("laws", studies.small(), ("state",))]) for _ in range(2)]
    assert made[0] == made[1]


# In a browser


@pytest.fixture(scope="module")
def page(text, tmp_path_factory):
    path = tmp_path_factory.mktemp("article") / "article.html"
    path.write_text(text)
    return path


@pytest.mark.browser
def test_every_figure_of_every_chapter_is_drawn_without_a_complaint_or_a_request(started, page):
    with browser.opened(started, page, **browser.DESKTOP) as opened:
        for identity in ("laws-state", "laws-largest", "laws-curves", "laws-fit", "size-state", "size-best-state"):
            expect(opened.figure(identity).locator(".main-svg").first).to_be_visible()
            assert len(opened.drawn(identity)) > 1_000


@pytest.mark.browser
def test_controls_of_one_chapter_leave_the_other_alone(started, page):
    with browser.opened(started, page, **browser.DESKTOP) as opened:
        before = opened.drawn("laws-state"), opened.drawn("size-state")
        opened.control("size-state", "family").select_option("window")
        assert opened.drawn("laws-state") == before[0]
        assert opened.drawn("size-state") != before[1]


@pytest.mark.browser
def test_a_phone_shows_the_article_without_sideways_scrolling(started, page):
    with browser.opened(started, page, **browser.PHONE) as opened:
        assert opened.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]") == [360, 360]


@pytest.mark.browser
def test_on_paper_the_folded_tables_are_open(started, page):
    with browser.opened(started, page, **browser.DESKTOP) as opened:
        assert opened.page.locator("details[open]").count() == 0
        opened.page.emulate_media(media="print")
        expect(opened.page.locator("details[open]")).to_have_count(5, timeout=30_000)
        opened.page.emulate_media(media="screen")
        expect(opened.page.locator("details[open]")).to_have_count(0, timeout=30_000)
