"""What the last `run` of a study knew, so that a finished study is recognised at once and without torch.

    runs/<study>/plan.json   {"format", "key": hash of the values and of this version, "study_sha256": of the values
                              alone, "data": {text: the data, resolved},
                              "settled": whether learning rates are known, "rates", "notices", "runs": [a row a run]}
    runs/<study>/study.json  the study as run (values after --set): what the report knows of it

A row is `facts_of` a run and its role, size, wanted state and predictions (plan.py).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import isostate
from isostate.data import DataConfig, resolve
from isostate.records import RunDirectory, durable
from isostate.study.file import StudyFile

FORMAT = 2


def key_of(values: dict[str, Any]) -> str:
    """Of any values that TOML can hold (NaN and dates too: what is wrong with them is told when they are checked)."""
    return _sha256_of([FORMAT, isostate.__version__, values])


def study_sha256(values: dict[str, Any]) -> str:
    """The same for every version: it tells whether committed records are of these values."""
    return _sha256_of(values)


def _sha256_of(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, default=str).encode()).hexdigest()


def write_plan(study_dir: Path, file: StudyFile, data: dict[str, Any], plan: dict[str, Any]) -> None:
    """`plan`: "settled", "rates", "notices", "runs"."""
    study = {"question": "", "fit": [], **file.values}
    durable.write_atomic(study_dir / "study.json", durable.json_bytes(study))
    keys = {"key": key_of(file.values), "study_sha256": study_sha256(file.values)}
    remembered = {"format": FORMAT, **keys, "data": data, **plan}
    durable.write_atomic(study_dir / "plan.json", durable.json_bytes(remembered))


def read_plan(study_dir: Path) -> dict[str, Any] | None:
    """The plan of the last `run`, or None: there is none, or it is of another version or damaged. It can be remade."""
    try:
        plan = json.loads((study_dir / "plan.json").read_bytes())
    except (FileNotFoundError, ValueError):
        return None
    return plan if isinstance(plan, dict) and plan.get("format") == FORMAT else None


def plan_of(study_dir: Path, file: StudyFile) -> dict[str, Any] | None:
    """The remembered plan, if it is of these very values and the same text."""
    plan = read_plan(study_dir)
    if plan is None or plan["key"] != key_of(file.values):
        return None
    for values in plan["data"].values():
        data = DataConfig.parse(values, str(study_dir / "plan.json"))
        unresolved = data.model_copy(update={"fingerprint": file.values["data"].get("fingerprint", "")})
        if resolve(unresolved).fingerprint != data.fingerprint:
            return None
    return plan


def finished(study_dir: Path, plan: dict[str, Any]) -> bool:
    """Whether every run of the plan has its result."""
    return plan["settled"] and not [row for row in plan["runs"] if status(study_dir, row) not in ("done", "diverged")]


def status(study_dir: Path, row: dict[str, Any]) -> str:
    return RunDirectory(study_dir / row["run_id"]).status()
