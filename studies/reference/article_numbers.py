"""Every number of the article on state scaling, from the committed records alone: one JSON object a study.

    python studies/reference/article_numbers.py [STUDY.toml ...]      without arguments: every study with records

Nothing is trained, and no text is read. What the numbers are is told in isostate/report/numbers.py and questions.py.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from isostate.config import UserError
from isostate.laws.result import plain
from isostate.records import table_of
from isostate.report import fit_laws, numbers, questions
from isostate.study.committed import committed_of
from isostate.study.file import read_study

HERE = Path(__file__).parent


def numbers_of(path: Path) -> dict:
    """Of one study file; raises UserError where it has no records, or they were altered."""
    file = read_study(path)
    committed = committed_of(file)
    if committed is None:
        raise UserError(f"{path}: no records in {file.records}; run it, then isostate collect {path}")
    table = table_of(committed)
    entries = fit_laws(table, file.values)
    return {
        "study": file.name,
        "missing": committed.missing,
        **numbers.of_study(table, entries),
        "answers": questions.answers(table),
    }


def main(arguments: list[str]) -> int:
    paths = [Path(argument) for argument in arguments] or sorted(
        path for path in HERE.glob("*.toml") if (HERE / "records" / f"{path.stem}.jsonl").is_file()
    )
    try:
        for path in paths:
            print(json.dumps(plain(numbers_of(path)), sort_keys=True))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(json.dumps({"published": plain(questions.published())}, sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
