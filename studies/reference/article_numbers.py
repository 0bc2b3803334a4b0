"""Every number of the article on state scaling, from the committed records alone: one JSON object a study, then the
claims of the note, each with its verdict, and what was published.

    python studies/reference/article_numbers.py [STUDY.toml ...]      without arguments: every study with records

Nothing is trained, and no text is read. What the numbers are is told in isostate/report/numbers.py and questions.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from isostate.config import UserError
from isostate.laws.result import plain
from isostate.records import table_of
from isostate.report import fit_laws, numbers, questions
from isostate.report.note import Claim, Studies, Study, every_claim
from isostate.study.committed import committed_of
from isostate.study.file import read_study

HERE = Path(__file__).parent


def with_records(folder: Path = HERE) -> list[Path]:
    """The study files of a folder that answer a question and have records."""
    return sorted(path for path in folder.glob("[0-9]*.toml") if (folder / "records" / f"{path.stem}.jsonl").is_file())


def study_of(path: Path) -> tuple[Study, list[str]]:
    """A study's table and laws, and the runs that its records lack; raises UserError without records, or altered."""
    file = read_study(path)
    committed = committed_of(file)
    if committed is None:
        raise UserError(f"{path}: no records in {file.records}; run it, then isostate collect {path}")
    table = table_of(committed)
    return Study(str(file.name), table, fit_laws(table, file.values)), committed.missing


def claims_of(paths: Sequence[Path] | None = None) -> list[Claim]:
    """The claims of the note by these studies' records, or by all that there are; what has none is undecided."""
    found = [study_of(path)[0] for path in (with_records() if paths is None else paths)]
    return every_claim(Studies(found))


def numbers_of(study: Study, missing: list[str]) -> dict:
    """What numbers.py and questions.py tell of a study."""
    return {
        "study": study.name,
        "missing": missing,
        **numbers.of_study(list(study.table), list(study.laws)),
        "answers": questions.answers(list(study.table)),
    }


def main(arguments: list[str]) -> int:
    paths = [Path(argument) for argument in arguments] or with_records()
    try:
        found = [study_of(path) for path in paths]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for study, missing in found:
        print(json.dumps(plain(numbers_of(study, missing)), sort_keys=True))
    claims = [claim.to_dict() for claim in every_claim(Studies(study for study, _ in found))]
    print(json.dumps(plain({"claims": claims, "published": questions.published()}), sort_keys=True))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
