"""Two trainings of one run held against each other: bit-equal, or where they differ first.

What is compared are the numbers of the rows as JSON has them, which is exact: a double is written in the fewest digits
that give it back. A compact record holds some of the rows; its hashes speak for the others, and for the weights.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from isostate.records.checkpoints import recorded_sums
from isostate.records.compact import WEIGHTS, Record, metrics_of, metrics_sha256
from isostate.records.run_directory import RunDirectory

Row = dict[str, Any]
OUTCOME = ("status", "reason", "final")  # of a result: the others are known before any training


@dataclass(frozen=True)
class Difference:
    """The first number that differs; None for one that is not there."""

    step: int
    what: str
    recorded: float | None
    retrained: float | None


@dataclass(frozen=True)
class Comparison:
    """`n_rows` rows of the first `steps` updates were compared, one by one. Of a whole training `metrics`, `weights`
    and `result` say whether all rows, the last weights and the result are equal too; None where it was not asked."""

    run_id: str
    steps: int
    n_rows: int
    first_difference: Difference | None
    metrics: bool | None
    weights: bool | None
    result: bool | None
    environment: dict[str, tuple[Any, Any]]  # what differs in it: as recorded, as it is here

    @property
    def equal(self) -> bool:
        return self.first_difference is None and False not in (self.metrics, self.weights, self.result)

    def to_dict(self) -> dict[str, Any]:
        return {"equal": self.equal, **asdict(self)}


def compare(record: Record, rows: list[Row], run: RunDirectory, steps: int) -> Comparison:
    """`run`, trained again, against its record and those `rows` of the first training that are left, up to `steps`."""
    within = [row for row in rows if row["step"] <= steps]
    again = {_place(row): row for row in run.metrics()}
    found = (_differing(row, again.get(_place(row))) for row in within)
    first = next((difference for difference in found if difference), None)
    metrics, weights, result = _whole(record, run) if steps == record["config"]["train"]["steps"] else (None,) * 3
    environment = differing_environment(record["environment"], run.environment())
    return Comparison(run.run_id, steps, len(within), first, metrics, weights, result, environment)


def _whole(record: Record, run: RunDirectory) -> tuple[bool | None, bool | None, bool | None]:
    """Whether all rows, the last weights and the result are equal."""
    result, sums = run.result(), recorded_sums(run.path)
    if result is None:
        return None, None, None
    weights = sums[WEIGHTS]["sha256"] if WEIGHTS in sums else None
    same = weights == record["weights_sha256"] if record["weights_sha256"] else None
    outcome = all(result[name] == record["result"][name] for name in OUTCOME)
    return metrics_sha256(run) == record["metrics_sha256"], same, outcome


def rows_of(record: Record, run: RunDirectory | None) -> list[Row]:
    """All rows that are left of the first training: of its directory, or those that the compact record keeps."""
    return metrics_of(record) if run is None else [row for row in run.metrics() if row["kind"] != "stop"]


def differing_environment(recorded: Row | None, here: Row | None) -> dict[str, tuple[Any, Any]]:
    """{name: (recorded, here)} of versions, processor, kernels, threads that are not the same."""
    first, second = recorded or {}, here or {}
    names = sorted({*first, *second} - {"started"})
    return {name: (first.get(name), second.get(name)) for name in names if first.get(name) != second.get(name)}


def _place(row: Row) -> tuple[int, str, int]:
    return row["step"], row["kind"], row.get("context", 0)


def _differing(row: Row, again: Row | None) -> Difference | None:
    """The first number of a row that is another one the second time."""
    where = f" at context {row['context']:,}" if row["kind"] == "eval" else ""
    words = {"loss_nats": "training loss" if row["kind"] == "train" else "held-out loss"}
    for name in sorted(set(row) - {"kind", "step", "context"}, key=lambda name: name != "loss_nats"):
        value = None if again is None else again.get(name)
        if value != row[name]:
            return Difference(row["step"], words.get(name, name) + where, row[name], value)
    return None
