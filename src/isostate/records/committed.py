"""The compact records of a study in one file, to be committed beside the study's: JSON lines, each with its own hash.

The first line is the study's: {"format", "study_sha256": of its values, "data": the resolved data, "settled", "rates",
"notices", "planned": ids of the runs that it asks for, "sha256"}; every other one is a run's (compact.py), by run id. A
line has one spelling only, so a byte that was altered, wherever it stands, is found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isostate.config import UserError
from isostate.records import durable
from isostate.records.compact import Record, checked, sha256_of

FORMAT = 1


@dataclass(frozen=True)
class Committed:
    """A file of records, verified. `study` is its first line; `records` by run id."""

    path: Path
    study: dict[str, Any]
    records: dict[str, Record]

    @property
    def missing(self) -> list[str]:
        """Planned runs that the file has no record of."""
        return [run_id for run_id in self.study["planned"] if run_id not in self.records]


def write_committed(path: Path, study: dict[str, Any], records: dict[str, Record]) -> None:
    """Replaces the file whole. Equal records are equal bytes."""
    body = {"format": FORMAT, **study}
    lines = [{**body, "sha256": sha256_of(body)}, *(records[run_id] for run_id in sorted(records))]
    path.parent.mkdir(parents=True, exist_ok=True)
    durable.write_atomic(path, b"".join(map(durable.json_bytes, lines)))


def read_committed(path: Path) -> Committed:
    """Verifies every line. Raises UserError naming the line that is not as it was written."""
    content = path.read_bytes()
    if not content.endswith(b"\n"):
        raise UserError(f"{path}: its last line is cut; restore the file")
    first, *rest = (_value(line, f"{path}, line {number}") for number, line in enumerate(_lines(content), 1))
    study = _checked_study(first, f"{path}, line 1")
    records: dict[str, Record] = {}
    for number, value in enumerate(rest, 2):
        where = f"{path}, line {number}"
        record = checked(value, where)
        if record["run_id"] in records:
            raise UserError(f"{where}: run {record['run_id']} stands there twice; restore the file")
        records[record["run_id"]] = record
    return Committed(path, study, records)


def _lines(content: bytes) -> list[bytes]:
    return content.split(b"\n")[:-1]


def _value(line: bytes, where: str) -> Any:
    try:
        value = json.loads(line)
        intact = durable.json_bytes(value) == line + b"\n"
    except ValueError:  # not JSON, not UTF-8, or a number that is none
        intact = False
    if not intact:
        raise UserError(f"{where}: altered: not the JSON that was written; restore the file")
    return value


def _checked_study(line: Any, where: str) -> dict[str, Any]:
    if not isinstance(line, dict) or "planned" not in line or "sha256" not in line:
        raise UserError(f"{where}: no records of a study; `isostate collect` writes them")
    if line["sha256"] != sha256_of({name: value for name, value in line.items() if name != "sha256"}):
        raise UserError(f"{where}: altered (SHA-256 differs); restore the file")
    if line["format"] != FORMAT:
        raise UserError(f"{where}: records of format {line['format']}, this Isostate reads {FORMAT}; upgrade")
    return line
