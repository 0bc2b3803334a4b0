"""A study file as values: what a verb reads before it knows whether anything is left to do. No torch here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isostate.config import UserError, apply_set, load_toml

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"  # it names a folder


@dataclass(frozen=True)
class StudyFile:
    """The values of a study file after `--set`, unchecked; `path` is for messages."""

    path: Path
    values: dict[str, Any]

    @property
    def name(self) -> str | None:
        """The study's name, or None where it is missing or could not name a folder (StudyConfig says so)."""
        name = self.values.get("name")
        return name if isinstance(name, str) and re.fullmatch(NAME_PATTERN, name) else None

    @property
    def records(self) -> Path:
        """Where the compact records of the study are committed: records/<name>.jsonl beside its file."""
        return self.path.parent / "records" / f"{self.name}.jsonl"


def read_study(path: Path, assignments: Sequence[str] = ()) -> StudyFile:
    """Raises UserError for a file that cannot be read, or an assignment that is not path=value."""
    return StudyFile(path, apply_set(load_toml(path), assignments))


def find_study(study: str, runs: Path) -> Path:
    """The folder of records of `study`: a study file, a study's name, or that folder itself.

    Raises UserError where there are no records.
    """
    given = Path(study)
    if given.is_file():
        name = read_study(given).name
        if name is None:
            raise UserError(f"{study}: no usable name; `isostate plan {study}` says what is wrong")
        folder = runs / name
    else:
        folder = given if (given / "study.json").is_file() else runs / study
    if not (folder / "study.json").is_file():
        raise UserError(f"no records of {study} in {runs}; run it first (isostate run STUDY.toml), or give --runs")
    return folder
