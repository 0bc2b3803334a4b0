"""The page of the reference study, docs/state-scaling.html, from the committed records and article/words.toml alone.

    python studies/reference/write_article.py [--words WORDS.toml] [--out PAGE.html]

Nothing is trained, and no text is read. The same records and words give the same bytes. A study without records leaves
its chapter with a sentence that says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from isostate.config import UserError, load_toml, nearest
from isostate.records import durable, table_of
from isostate.report import fit_laws
from isostate.report.article import Chapter, Shown, render_article
from isostate.report.chapter_figures import draw
from isostate.report.note import Studies, Study, every_claim
from isostate.study.committed import committed_of
from isostate.study.file import read_study

HERE = Path(__file__).parent
WORDS = HERE / "article" / "words.toml"
PAGE = HERE.parents[1] / "docs" / "state-scaling.html"
KEYS = {
    "words": {"title", "question", "intro", "more", "chapter"},
    "chapter": {"id", "study", "title", "text", "figures"},
    "figure": {"name", "note"},
}


def article(words: Path) -> str:
    """The page's HTML. Study files are looked for in the folder of `words` and above it."""
    told = checked(load_toml(words), "words", words)
    chapters = [chapter_of(checked(entry, "chapter", words), words) for entry in told["chapter"]]
    studies = Studies(Study(chapter.study, chapter.table, chapter.laws) for chapter in chapters)
    claims = [claim.row() for claim in every_claim(studies)]
    return render_article(told["title"], told["question"], chapters, claims, told["intro"], told["more"])


def chapter_of(entry: dict[str, Any], words: Path) -> Chapter:
    """A chapter with the figures that it names; raises UserError where its study's records were altered."""
    figures = [checked(figure, "figure", words) for figure in entry["figures"]]
    place = next((p for p in words.parents if (p / f"{entry['study']}.toml").is_file()), None)
    if place is None:
        raise UserError(f"{words}: no {entry['study']}.toml beside it or above it")
    file = read_study(place / f"{entry['study']}.toml")
    committed = committed_of(file)
    table = [] if committed is None else table_of(committed)
    laws = fit_laws(table, file.values) if table else []
    shown = tuple(Shown(draw(f["name"], table, laws), tuple(f.get("note", ()))) for f in figures) if table else ()
    return Chapter(entry["id"], entry["title"], entry["study"], tuple(entry["text"]), shown, table, laws)


def checked(entry: dict[str, Any], kind: str, words: Path) -> dict[str, Any]:
    """The entry, if it holds what its kind must and nothing else."""
    unknown = sorted(entry.keys() - KEYS[kind])
    if unknown:
        raise UserError(f"{words}: a {kind} has no {unknown[0]!r}{nearest(unknown[0], KEYS[kind])}")
    missing = sorted(KEYS[kind] - entry.keys() - {"note"})
    if missing:
        raise UserError(f"{words}: a {kind} lacks {', '.join(missing)}")
    return entry


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--words", type=Path, default=WORDS)
    parser.add_argument("--out", type=Path, default=PAGE)
    given = parser.parse_args(arguments)
    try:
        page = article(given.words).encode()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    durable.write_atomic(given.out, page)
    print(f"{given.out}: {len(page) / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
