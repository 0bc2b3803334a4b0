"""The page's text. What a browser makes of it is in test_page_in_a_browser.py."""

from __future__ import annotations

import base64
import hashlib
import json
import re

import pytest

from isostate.report import page
from isostate.report.fits import fit_laws
from tests.report import studies


@pytest.fixture(scope="module")
def small_page() -> str:
    table = studies.small()
    return page.render(studies.STUDY, table, fit_laws(table, studies.STUDY))


def scripts_of(text: str) -> list[str]:
    return re.findall(r"<script>(.*?)</script>", text, re.DOTALL)


def test_question_answer_and_facts_stand_above_everything(small_page):
    head = small_page[: small_page.index("<section")]
    assert studies.STUDY["question"] in head
    assert "At equal state power-2 has the lowest loss" in head
    assert "20 runs · 4 families · 1 model size · bard, bpe-1024" in head
    assert "of training in all" in head


def test_all_five_figures_and_three_tables_are_there(small_page):
    for identity in ("figure-state", "figure-curves", "figure-position", "figure-contexts", "figure-budget",
                     "table-laws", "table-runs", "table-where"):  # fmt: skip
        assert small_page.count(f'id="{identity}"') == 1


def test_only_the_pages_own_scripts_may_run(small_page):
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', small_page).group(1)
    allowed = set(re.findall(r"'sha256-([^']+)'", policy))
    own = {base64.b64encode(hashlib.sha256(s.encode()).digest()).decode() for s in scripts_of(small_page)}
    assert allowed == own
    assert len(own) == 2
    assert "default-src 'none'" in policy
    assert "unsafe-inline" not in policy.split("style-src")[0]
    assert "unsafe-eval" not in policy


def test_nothing_is_loaded_from_anywhere(small_page):
    own = re.sub(r"<script.*?</script>", "", small_page, flags=re.DOTALL)
    assert not re.search(r"(src|href|url|@import|srcset)\s*[=(]", own)
    assert "//" not in own.replace("/* ", "")


def test_our_script_evaluates_no_text():
    script = page.asset("page.js")
    assert not re.search(
        r"\beval\b|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|https?:", script
    )


def test_plotly_keeps_its_licence():
    assert "Licensed under the MIT license" in page.asset("plotly-cartesian.min.js")[:300]


def test_the_data_block_is_json_that_html_cannot_read_as_anything_else():
    attack = [*studies.HOSTILE.values(), "\u2028", "-->", "]]>"]
    block = page.data_block(attack)
    assert json.loads(block) == attack
    assert block.isascii()
    assert not set("<>&") & set(block)


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


def test_long_lists_are_written_once_and_floats_shortly():
    column = [0.123456789] * 8
    slim = page.pooled([{"x": column, "y": column, "short": [1.0, 2.0], "nan": float("nan")}])
    assert slim["pool"] == [[0.123457] * 8]
    assert slim["figures"][0] == {"x": {"pool": 0}, "y": {"pool": 0}, "short": [1.0, 2.0], "nan": None}


def test_a_study_without_runs_has_a_page_that_says_what_fills_it():
    text = page.render(studies.STUDY, [], [])
    assert text.count('class="empty"') >= 8
    assert "No run has finished yet" in text


def test_one_run_of_each_kind_alone_makes_a_page():
    for row in (studies.run(), studies.diverged(), studies.unfinished("died", 0), studies.pending()):
        assert row["run_id"] in page.render(studies.STUDY, [row], fit_laws([row], studies.STUDY))
