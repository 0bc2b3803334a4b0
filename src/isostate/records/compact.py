"""A finished run as one row of JSON, small enough to be committed: all that pages, laws and a reproduction ask of it.

    run_id, config     whole: the digest of the config is the run's name
    plan               the run's place in its study: role, size, wanted state, what was predicted
    environment        whole
    result             result.json without the mixer, which the config holds
    train              columns "step", "loss_nats" of training's rows: TRAIN_ROWS at most, evenly spaced, the first and
                       the last among them; the numbers as they were written, not rounded
    eval               for each context the columns "step", "loss_nats" of every evaluation
    timing             columns "step", "train_s" at those steps, and the last there is
    metrics_sha256     of the whole metrics.jsonl that was thinned: equal hashes are equal rows, those left out too
    weights_sha256     of the last checkpoint's weights; None where the run left none
    sha256             of the canonical JSON of all the others

`restore` makes a run directory of it again, without checkpoints and with the kept rows alone.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from isostate.config import UserError, canonical_json, digest
from isostate.records import durable
from isostate.records.checkpoints import recorded_sums
from isostate.records.run_directory import FORMAT, RunDirectory

TRAIN_ROWS = 32
MEASURED = ("peak_bytes", "step_s", "step_measured", "predicted_s")  # of a plan: where the run was trained
WEIGHTS = "model.safetensors"
ORIGIN = "restored.json"  # in a restored run directory: the row that it was made of

Record = dict[str, Any]


def compact(run: RunDirectory, plan: dict[str, Any]) -> Record:
    """The row of a finished run; of a restored one that which it was restored from, its place this plan's."""
    config, result = run.config(), run.result()
    assert result is not None, f"{run.path} has no result yet"
    if (origin := origin_of(run)) is not None:
        measured = {name: origin["plan"][name] for name in MEASURED if name in origin["plan"]}
        return _sealed({**origin, "plan": {**plan, **measured}})
    rows = run.metrics()
    train = _evenly([row for row in rows if row["kind"] == "train"], TRAIN_ROWS)
    evals = [row for row in rows if row["kind"] == "eval"]
    steps = {row["step"] for row in [*train, *evals]}
    timing = run.timing()
    sums = recorded_sums(run.path)
    body = {
        "run_id": run.run_id,
        "config": config,
        "plan": plan,
        "environment": run.environment(),
        "result": {name: value for name, value in result.items() if name != "mixer"},
        "train": _columns(train, "loss_nats"),
        "eval": {str(context): _columns(_at(evals, context), "loss_nats") for context in _contexts(evals)},
        "timing": _columns([row for row in timing if row["step"] in steps or row is timing[-1]], "train_s"),
        "metrics_sha256": metrics_sha256(run),
        "weights_sha256": sums[WEIGHTS]["sha256"] if WEIGHTS in sums else None,
    }
    return _sealed(body)


def restore(record: Record, study_dir: Path) -> RunDirectory:
    """The record as a run directory, whole or not at all; in place of one that has no result."""
    target = study_dir / record["run_id"]
    temporary = durable.temporary_name(target)
    if temporary.exists():
        shutil.rmtree(temporary)
    temporary.mkdir(parents=True)
    result = {**record["result"], "mixer": record["config"]["model"]["mixer"]}
    facts = {name: value for name, value in result.items() if name not in ("format", "status", "reason", "final")}
    for name, content in {"config": record["config"], "facts": facts, "environment": record["environment"]}.items():
        (temporary / f"{name}.json").write_bytes(durable.json_bytes(content))
    (temporary / "metrics.jsonl").write_bytes(b"".join(map(durable.json_bytes, metrics_of(record))))
    (temporary / "timing.jsonl").write_bytes(b"".join(map(durable.json_bytes, _rows(record["timing"]))))
    (temporary / "result.json").write_bytes(durable.json_bytes(result))
    (temporary / ORIGIN).write_bytes(durable.json_bytes(record))
    (temporary / "FORMAT").write_bytes(b"%d\n" % FORMAT)
    durable.put_in_place(temporary, target)
    return RunDirectory(target)


def origin_of(run: RunDirectory) -> Record | None:
    """The row that a run directory was restored from, or None: it was trained here."""
    path = run.path / ORIGIN
    return checked(durable.read_json(path), str(path)) if path.exists() else None


def metrics_of(record: Record) -> list[dict[str, Any]]:
    """Rows of metrics.jsonl as far as they were kept, in the order in which a run writes them."""
    train = [{"kind": "train", **row} for row in _rows(record["train"])]
    evals = [
        {"kind": "eval", "context": int(context), **row}
        for context, columns in record["eval"].items()
        for row in _rows(columns)
    ]
    return sorted([*train, *evals], key=lambda row: (row["step"], row["kind"] == "eval", row.get("context", 0)))


def checked(record: Any, where: str) -> Record:
    """The record, if not a byte of it was altered. Raises UserError."""
    if not isinstance(record, dict) or "sha256" not in record or "run_id" not in record:
        raise UserError(f"{where}: no record of a run; restore the file")
    body = {name: value for name, value in record.items() if name != "sha256"}
    if record["sha256"] != sha256_of(body):
        raise UserError(f"{where}: the record of run {record['run_id']} was altered (SHA-256 differs); restore it")
    if record["run_id"] != digest(record["config"]):
        raise UserError(f"{where}: the record of run {record['run_id']} is of another config; restore it")
    return record


def metrics_sha256(run: RunDirectory) -> str:
    """Of the whole rows of metrics.jsonl."""
    return hashlib.sha256(b"".join(line + b"\n" for line in run.metric_lines())).hexdigest()


def sha256_of(values: Any) -> str:
    """Of the canonical JSON."""
    return hashlib.sha256(canonical_json(values).encode()).hexdigest()


def _sealed(record: Record) -> Record:
    body = {name: value for name, value in record.items() if name != "sha256"}
    return {**body, "sha256": sha256_of(body)}


def _evenly(rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    if len(rows) <= most:
        return rows
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def _contexts(evals: Iterable[dict[str, Any]]) -> list[int]:
    return sorted({row["context"] for row in evals})


def _at(evals: Iterable[dict[str, Any]], context: int) -> list[dict[str, Any]]:
    return [row for row in evals if row["context"] == context]


def _columns(rows: list[dict[str, Any]], name: str) -> dict[str, list[Any]]:
    return {"step": [row["step"] for row in rows], name: [row[name] for row in rows]}


def _rows(columns: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
