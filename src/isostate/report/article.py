"""The article: one page of several studies, a chapter each, with the claims held against them at its head.

It is made as page.py makes the page of one study: one file that asks nothing of the network, its data in one block, its
two scripts by hash. A figure may stand in two chapters, so in an article every figure's id begins with its chapter's.

A row of the table of claims is a plain dict of words, all of which are shown as the text they are:

    "claim"     what is claimed, in a sentence
    "source"    where it stands: a section of the note, a paper
    "verdict"   "confirmed", "refuted" or "undecided" (claims.py)
    "evidence"  the numbers with their intervals; what comes after the first semicolon is folded away where it is long
    "chapter"   the study whose chapter shows it
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from string import Template
from typing import Any, get_args

from isostate.config import digest
from isostate.report import labels, tables
from isostate.report.claims import Verdict
from isostate.report.inline import asset, data_block, policy, pooled
from isostate.report.joint_table import joint_laws_table
from isostate.report.page import facts, section
from isostate.report.rows import Row
from isostate.report.views import Figure

Claim = dict[str, Any]
NOT_TRAINED = "This study is not trained yet: the chapter fills in when its records are committed."
BRIEF = 90  # characters of evidence that need no folding
MARKS = {"confirmed": "✓", "refuted": "✗", "undecided": "?"}  # what the colours say, for who does not see them


@dataclass(frozen=True)
class Shown:
    """A figure of a chapter; `stands_for`: the placeholders of the note that it fills, in the note's words."""

    figure: Figure
    stands_for: tuple[str, ...] = ()


@dataclass(frozen=True)
class Chapter:
    """What one study shows: its words, its figures, its runs (records.table_of) and their laws (fits.fit_laws).

    `identity` is letters, digits and hyphens. A chapter without runs says that its study is not trained yet.
    """

    identity: str
    title: str
    study: str
    paragraphs: tuple[str, ...] = ()
    figures: tuple[Shown, ...] = ()
    table: Sequence[Row] = ()
    laws: Sequence[dict[str, Any]] = ()


def render_article(
    title: str,
    question: str,
    chapters: Sequence[Chapter],
    claims: Sequence[Claim] = (),
    intro: Sequence[str] = (),
    more: str = "",
) -> str:
    """The whole page. `intro`: paragraphs above the claims, on what was measured and how; `more`: the name of a file
    beside the page that tells it at length."""
    identities = [chapter.identity for chapter in chapters]
    assert len(set(identities)) == len(identities), identities
    numbered = _numbered(chapters)
    scripts = {"plotly": asset("plotly-cartesian.min.js"), "script": asset("page.js")}
    return Template(asset("article.html")).substitute(
        policy=policy(list(scripts.values())),
        style=asset("page.css") + asset("article.css"),
        **scripts,
        title=html.escape(labels.plain(title)),
        heading=tables.name(title),
        question=tables.name(question),
        intro=_intro(intro, more),
        contents=_contents(chapters, numbered),
        claims=_claims(claims, {chapter.study: chapter for chapter in reversed(chapters)}),
        chapters="".join(_chapter(place, chapter, numbered) for place, chapter in enumerate(chapters, start=1)),
        digest=digest([tables.records_digest(list(chapter.table)) for chapter in chapters]),
        data=data_block(pooled([shown.figure for mine in numbered.values() for _, shown in mine])),
    )


def _intro(paragraphs: Sequence[str], more: str) -> str:
    words = "".join(f'<p class="text">{html.escape(labels.plain(text))}</p>' for text in paragraphs)
    name = html.escape(labels.plain(more))
    link = f'<p class="note">Methods and tables at length: <a href="{name}">{name}</a>.</p>' if more else ""
    return f'<section id="intro">{words}{link}</section>' if words or link else ""


def _numbered(chapters: Sequence[Chapter]) -> dict[str, list[tuple[int, Shown]]]:
    """The figures of each chapter that has runs, numbered through, with ids of their own."""
    count, numbered = 0, {}
    for chapter in chapters:
        mine = []
        for shown in chapter.figures if chapter.table else ():
            count += 1
            own = {**shown.figure, "id": f"{chapter.identity}-{shown.figure['id']}"}
            mine.append((count, Shown(own, shown.stands_for)))
        numbered[chapter.identity] = mine
    return numbered


def _contents(chapters: Sequence[Chapter], numbered: dict[str, list[tuple[int, Shown]]]) -> str:
    """The chapters with their figures, and the placeholders of the note with the figures in their place."""
    items = []
    for chapter in chapters:
        entries = [
            f'<li><a href="#figure-{shown.figure["id"]}"><span class="number">{number}</span> '
            f"<span>{html.escape(shown.figure['title'])}</span></a></li>"
            for number, shown in numbered[chapter.identity]
        ]
        listed = f'<ul class="figures">{"".join(entries)}</ul>' if entries else '<p class="note">Not trained yet.</p>'
        items.append(f'<li><a href="#{_anchor(chapter)}">{html.escape(labels.plain(chapter.title))}</a>{listed}</li>')
    return f'<ol class="contents">{"".join(items)}</ol>{_placeholders(numbered)}'


def _placeholders(numbered: dict[str, list[tuple[int, Shown]]]) -> str:
    filled = [
        f'<li><a href="#figure-{shown.figure["id"]}">Figure {number}</a><span>{_quoted(words)}</span></li>'
        for mine in numbered.values()
        for number, shown in mine
        for words in shown.stands_for
    ]
    listed = f'<ul class="placeholders">{"".join(filled)}</ul>'
    return _folded("Placeholders of the note, and what stands for them", len(filled), "place", listed) if filled else ""


def _quoted(words: str) -> str:
    return f"<q>{html.escape(labels.plain(words))}</q>"


def _stands_for(shown: Shown) -> str:
    quoted = " ".join(map(_quoted, shown.stands_for))
    return f'<p class="stands-for">In the note: {quoted}</p>' if quoted else ""


def _claims(claims: Sequence[Claim], chapters: dict[str, Chapter]) -> str:
    if not claims:
        return '<p class="empty">No claim is held against these records yet.</p>'
    head = ["claim", "where", "verdict here", "numbers", "chapter"]
    return tables.sortable("claims", head, [tables.body(_claim_cells(claim, chapters)) for claim in claims], "")


def _claim_cells(claim: Claim, chapters: dict[str, Chapter]) -> list[tables.Cell]:
    verdict = claim["verdict"]
    assert verdict in get_args(Verdict), verdict
    return [
        (tables.name(claim["claim"]), claim["claim"]),
        (tables.name(claim["source"]), claim["source"]),
        (f'<span class="verdict {verdict}"><span aria-hidden="true">{MARKS[verdict]}</span> {verdict}</span>', verdict),
        (_evidence(claim["evidence"]), claim["evidence"]),
        (_link(claim["chapter"], chapters), claim["chapter"]),
    ]


def _evidence(words: str) -> str:
    """Its first part; of what is long, the parts after the first semicolon unfold."""
    first, _, rest = words.partition("; ")
    if not rest or len(words) <= BRIEF:
        return tables.name(words)
    return f"{tables.name(first)}<details><summary>more</summary>{tables.name(rest)}</details>"


def _link(study: str, chapters: dict[str, Chapter]) -> str:
    """To the chapter of a study, or the study's name where the article has no such chapter."""
    if study not in chapters:
        return tables.name(study)
    return f'<a href="#{_anchor(chapters[study])}">{html.escape(labels.plain(chapters[study].title))}</a>'


def _chapter(place: int, chapter: Chapter, numbered: dict[str, list[tuple[int, Shown]]]) -> str:
    words = "".join(f'<p class="text">{html.escape(labels.plain(text))}</p>' for text in chapter.paragraphs)
    title = f'<h2><span class="number">{place}</span> {html.escape(labels.plain(chapter.title))}</h2>'
    return f'<section class="chapter" id="{_anchor(chapter)}">{title}{words}{_shown(chapter, numbered)}</section>'


def _shown(chapter: Chapter, numbered: dict[str, list[tuple[int, Shown]]]) -> str:
    table, laws = list(chapter.table), list(chapter.laws)
    if not table:
        return f'<p class="empty">{NOT_TRAINED}</p>'
    figures = "".join(
        section(f"Figure {number}", shown.figure, "h3", _stands_for(shown))
        for number, shown in numbered[chapter.identity]
    )
    every = tables.laws_table(table, laws) + joint_laws_table(laws)
    made = f"Study {tables.name(chapter.study)}, records <code>{tables.records_digest(table)}</code>."
    return (
        f'<p class="facts">{html.escape(facts(table))}</p>{figures}'
        f"{_folded('Laws', len(laws), 'fit', every)}{_folded('Runs', len(table), 'run', tables.runs_table(table))}"
        f'<p class="note">{made}</p>'
    )


def _folded(title: str, count: int, noun: str, inside: str) -> str:
    return f"<details><summary>{title} <small>{labels.plural(count, noun)}</small></summary>{inside}</details>"


def _anchor(chapter: Chapter) -> str:
    return f"chapter-{chapter.identity}"
