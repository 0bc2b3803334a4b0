"""Every number of the article on state scaling, from the committed records alone.

    python studies/reference/article_numbers.py [STUDY.toml ...]      one JSON object a study, then the
                                                                      claims of the note, each with its verdict
    python studies/reference/article_numbers.py --write [--out FILE]  article.md filled with them: docs/state-scaling.md

Without study files: every one that answers a question and has records. Nothing is trained, and no text is read. What
the numbers are is told in isostate/report/numbers.py and questions.py, how a template is filled in template.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from isostate.config import UserError
from isostate.laws.result import plain
from isostate.records import durable, table_of
from isostate.report import fit_laws, numbers, questions
from isostate.report.markdown_article import article
from isostate.report.note import Claim, Studies, Study, every_claim
from isostate.study.committed import committed_of
from isostate.study.file import read_study

HERE = Path(__file__).parent
TEMPLATE = HERE / "article.md"
ARTICLE = HERE.parents[1] / "docs" / "state-scaling.md"
DRAWS = 2_000  # of each state law's bootstrap


def with_records(folder: Path = HERE) -> list[Path]:
    """The study files of a folder that answer a question and have records."""
    return sorted(path for path in folder.glob("[0-9]*.toml") if (folder / "records" / f"{path.stem}.jsonl").is_file())


def read(path: Path) -> tuple[Study, dict[str, Any]]:
    """A study's table and laws, and its numbers; raises UserError where it has no records, or they were altered."""
    file = read_study(path)
    committed = committed_of(file)
    if committed is None:
        raise UserError(f"{path}: no records in {file.records}; run it, then isostate collect {path}")
    table = table_of(committed)
    study = Study(str(file.name), table, fit_laws(table, file.values, bootstrap=DRAWS))
    told = {
        "study": study.name,
        "missing": committed.missing,
        "tuned": committed.study["rates"],
        "notices": committed.study["notices"],
        "file": file.values,
        **numbers.of_study(table, list(study.laws)),
        "answers": questions.answers(table),
    }
    return study, told


def claims_of(paths: Sequence[Path] | None = None) -> list[Claim]:
    """The claims of the note by these studies' records, or by all that there are; what has none is undecided."""
    return every_claim(Studies(read(path)[0] for path in (with_records() if paths is None else paths)))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("studies", type=Path, nargs="*")
    parser.add_argument("--write", action="store_true", help="fill the template")
    parser.add_argument("--template", type=Path, default=TEMPLATE)
    parser.add_argument("--out", type=Path, default=ARTICLE)
    given = parser.parse_args(arguments)
    try:
        found = [read(path) for path in (given.studies or with_records())]
        claims = every_claim(Studies(study for study, _ in found))
        every = {study.name: told for study, told in found}
        if given.write:
            filled = article(given.template.read_text(encoding="utf-8"), every, claims, given.template.name)
            durable.write_atomic(given.out, filled.encode())
            print(f"{given.out}: {len(every)} studies, {len(claims)} claims")
            return 0
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for told in every.values():
        print(json.dumps(plain(told), sort_keys=True))
    last = {"claims": [claim.to_dict() for claim in claims], "published": questions.published()}
    print(json.dumps(plain(last), sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
