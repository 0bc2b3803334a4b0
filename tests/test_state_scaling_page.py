"""docs/state-scaling.html as studies/reference/write_article.py makes it, from records and words alone."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from isostate.config import load_toml
from isostate.records import compact, run_directories, write_committed
from isostate.report.chapter_figures import FIGURES
from isostate.study.file import read_study
from isostate.study.remember import study_sha256
from tests.report import studies

REFERENCE = Path(__file__).resolve().parents[1] / "studies" / "reference"
WORDS = REFERENCE / "article" / "words.toml"
PAGE = REFERENCE.parents[1] / "docs" / "state-scaling.html"
NOTE = "notes/000_2f8b8e56b86d3cfa.txt"


@pytest.fixture(scope="module")
def words() -> dict:
    return load_toml(WORDS)


def written(words: Path, out: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(REFERENCE / "write_article.py"), "--words", str(words), "--out", str(out)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_every_chapter_has_its_study_and_every_figure_is_known(words):
    for chapter in words["chapter"]:
        assert (REFERENCE / f"{chapter['study']}.toml").is_file()
        assert {figure["name"] for figure in chapter["figures"]} <= FIGURES.keys()
    assert len({chapter["id"] for chapter in words["chapter"]}) == len(words["chapter"])


def test_the_page_says_how_it_was_measured_in_few_words_and_links_to_the_article_beside_it(words):
    assert 1 <= len(words["intro"]) <= 4
    assert max(map(len, words["intro"])) < 500
    assert PAGE.with_name(words["more"]).name == "state-scaling.md"
    said = " ".join(words["intro"])
    assert all(name in said for name in ("KV cache", "head-varied", "Taylor", "multilinear", "refuted", "undecided"))


def test_every_placeholder_of_the_note_has_its_figure(words, shared):
    text = " ".join((shared / NOTE).read_text().replace("*", " ").split())
    filled = [said for chapter in words["chapter"] for figure in chapter["figures"] for said in figure.get("note", [])]
    parts = [said.partition("PLOT: ") for said in filled]
    assert all(before.strip() in text and words in text for before, _, words in parts)  # the note's own words
    ends = [match.end() for match in re.finditer(r"PLOT: ", text)]
    assert len(ends) == 13
    assert [text[end:][:60] for end in ends if not any(text.startswith(words, end) for _, _, words in parts)] == []
    assert sum(words.startswith("state") and words.endswith("law") for _, _, words in parts) == 4  # a family each


@pytest.mark.slow
def test_records_and_words_make_the_page_and_altered_records_do_not(tmp_path):
    rows = [studies.run(family, state=state) for family in ("power-2", "window") for state in studies.STATES]
    for row in rows:
        row["config"] |= {"train": {"threads": 1, "steps": 1000}, "model": {"mixer": row["mixer"]}}
    studies.write(tmp_path / "runs", studies.STUDY, rows)
    (tmp_path / "made_up.toml").write_text('name = "made_up"\n[[fit]]\nlaw = "state"\n')
    (tmp_path / "later.toml").write_text('name = "later"\n')
    file = read_study(tmp_path / "made_up.toml")
    study = {"study_sha256": study_sha256(file.values), "data": {}, "rates": {}, "notices": [], "settled": True}
    records = {run.run_id: compact(run, {}) for run in run_directories(tmp_path / "runs")}
    write_committed(file.records, {**study, "planned": sorted(records)}, records)
    told = tmp_path / "words.toml"
    chapter = '[[chapter]]\nid = "{0}"\nstudy = "{0}"\ntitle = "T"\ntext = ["W."]\nfigures = [{{name = "state"}}]\n'
    head = 'title = "A"\nquestion = "Q?"\nmore = "a.md"\nintro = ["How."]\n'
    told.write_text(head + chapter.format("made_up") + chapter.format("later"))
    pages = [tmp_path / "first.html", tmp_path / "second.html"]
    for page in pages:
        done = written(told, page)
        assert done.returncode == 0, done.stderr
    assert pages[0].read_bytes() == pages[1].read_bytes()
    text = pages[0].read_text()
    assert text.count('<section class="figure"') == 1
    assert '<p class="text">How.</p>' in text
    assert '<a href="a.md">a.md</a>' in text
    assert text.count("not trained yet: the chapter") == 1
    assert text.count('class="verdict undecided"') > 10  # every claim is there, none of these studies answers one
    file.records.write_bytes(file.records.read_bytes().replace(b'"seed":0', b'"seed":1', 1))
    done = written(told, pages[0])
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "was altered" in done.stderr


@pytest.mark.slow
def test_the_committed_page_is_made_from_the_committed_records(tmp_path):
    if not PAGE.is_file():
        pytest.skip("docs/state-scaling.html is not written yet")
    assert written(WORDS, tmp_path / "page.html").returncode == 0
    made, committed = (path.read_text() for path in (tmp_path / "page.html", PAGE))
    digests = [re.findall(r"records <code>([0-9a-f]{16})</code>", text) for text in (made, committed)]
    assert digests[0] == digests[1]
    assert len(committed.encode()) < 4_000_000


def test_a_slip_in_the_words_is_named_in_one_line(tmp_path):
    told = tmp_path / "words.toml"
    told.write_text('title = "A"\nqestion = "Q?"\n')
    done = written(told, tmp_path / "page.html")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "question" in done.stderr
    assert not (tmp_path / "page.html").exists()
