"""A run on disk: the truth about one training run; everything else (ledger, table, report) is read from it.

<run-id>/  FORMAT               the format's version
           config.json          canonical; its digest is the folder's name
           facts.json           what is known before training (family, sizes, FLOPs); at its start
           environment.json     versions, machine, threads; at its first start
           metrics.jsonl        rows of a step: a function of config.json alone, the same however often the run was cut
           timing.jsonl         {"step", "train_s"}: seconds of training up to the step, over all resumes
           events.jsonl         what happened, and when: started, resumed, stopped, damaged checkpoint, ...
           checkpoints/         see checkpoints.py
           result.json          written once, at the end
           lock                 held while a process trains the run
           restored.json        only in a directory made of a committed record: that record (compact.py)
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from isostate.config import UserError, digest
from isostate.records import durable
from isostate.records.locks import held, is_locked

FORMAT = 1

Status = Literal["pending", "running", "done", "diverged", "died", "stopped"]


class RunDirectory:
    """Reads and writes one run directory. Whoever writes more than `create` holds `lock()`."""

    def __init__(self, path: Path):
        self.path = path
        self.run_id = path.name
        self.checkpoints = path / "checkpoints"

    def create(self, config: dict[str, Any]) -> RunDirectory:
        """Makes the directory, whole or not at all; one that is there already must be this run's, in a known format."""
        assert digest(config) == self.run_id, "a run is named by the digest of its config"
        if self.path.is_file() or (self.path.exists() and any(self.path.iterdir())):
            self.config()
            return self
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = durable.temporary_name(self.path)
        temporary.mkdir(exist_ok=True)
        try:
            durable.write_synced(temporary / "FORMAT", b"%d\n" % FORMAT)
            durable.write_synced(temporary / "config.json", durable.json_bytes(config))
            durable.sync_folder(temporary)
            os.rename(temporary, self.path)  # replaces an empty folder, refuses a filled one
            durable.sync_folder(self.path.parent)
        finally:
            for leftover in temporary.glob("*"):
                leftover.unlink()
            if temporary.exists():
                temporary.rmdir()
        return self

    def config(self) -> dict[str, Any]:
        """The run's config. Raises UserError when the folder is not this run's, or a newer Isostate's."""
        try:
            version = int((self.path / "FORMAT").read_text(encoding="ascii"))
        except (FileNotFoundError, NotADirectoryError, ValueError):
            raise UserError(f"{self.path} is not a run directory (no readable FORMAT); move it away") from None
        if version != FORMAT:
            advice = f"this Isostate reads format {FORMAT}; upgrade it, or choose another folder"
            raise UserError(f"{self.path}: run directory of format {version}, {advice}")
        if not (self.path / "config.json").is_file():
            raise UserError(f"{self.path} is not a run directory (no config.json); move it away")
        config = durable.read_json(self.path / "config.json")
        if digest(config) != self.run_id:
            advice = f"its config.json is of run {digest(config)}; move it away, or restore it"
            raise UserError(f"{self.path}: foreign run directory, {advice}")
        return config

    def lock(self) -> AbstractContextManager[None]:
        """The block is the only one in the world that trains this run; else UserError says who does."""
        return held(self.path / "lock", f"run {self.run_id}")

    def sweep(self) -> None:
        """Removes temporary files of killed writers; under `lock()`."""
        durable.sweep(self.path)
        durable.sweep(self.checkpoints)

    def append_metric(self, row: dict[str, Any]) -> None:
        durable.append_row(self.path / "metrics.jsonl", row)

    def append_timing(self, step: int, train_s: float) -> None:
        durable.append_row(self.path / "timing.jsonl", {"step": step, "train_s": round(train_s, 6)})

    def append_event(self, event: str, **details: Any) -> None:
        durable.append_row(self.path / "events.jsonl", {"event": event, "time": _now(), **details})

    def sync_metrics(self) -> None:
        """Puts the rows on disk: before the checkpoint that counts on them."""
        durable.sync_file(self.path / "metrics.jsonl")

    def truncate(self, rows: int, step: int) -> None:
        """Back to a checkpoint: the first `rows` metrics, timing up to `step`; torn last lines go.

        A count, not a step, for metrics: rows of the checkpoint's own step that follow it will be written again.
        """
        metrics = durable.read_lines(self.path / "metrics.jsonl")
        if len(metrics) < rows:
            found = f"{len(metrics)} of the {rows} rows that its checkpoint at step {step} counts on"
            raise UserError(f"{self.path / 'metrics.jsonl'} has {found}; delete the run's folder to train it again")
        durable.keep_lines(self.path / "metrics.jsonl", metrics[:rows])
        timing = [durable.json_bytes(row)[:-1] for row in self.timing() if row["step"] <= step]
        durable.keep_lines(self.path / "timing.jsonl", timing)
        events = self.path / "events.jsonl"
        durable.keep_lines(events, durable.read_lines(events))

    def metrics(self) -> list[dict[str, Any]]:
        return durable.read_rows(self.path / "metrics.jsonl")

    def metric_lines(self) -> list[bytes]:
        """The whole lines of metrics.jsonl, as they were written."""
        return durable.read_lines(self.path / "metrics.jsonl")

    def timing(self) -> list[dict[str, Any]]:
        return durable.read_rows(self.path / "timing.jsonl")

    def events(self) -> list[dict[str, Any]]:
        return durable.read_rows(self.path / "events.jsonl")

    def write_facts(self, facts: dict[str, Any]) -> None:
        durable.write_atomic(self.path / "facts.json", durable.json_bytes(facts))

    def facts(self) -> dict[str, Any] | None:
        return self._read("facts.json")

    def write_environment(self, environment: dict[str, Any]) -> list[str]:
        """Records where the run first started; later, what differs from then, as an event, and returns its names."""
        first = self.environment()
        if first is None:
            durable.write_atomic(self.path / "environment.json", durable.json_bytes(environment))
            return []
        changed = sorted(k for k in {*first, *environment} - {"started"} if first.get(k) != environment.get(k))
        if changed:
            self.append_event("environment changed", changed={name: environment.get(name) for name in changed})
        return changed

    def environment(self) -> dict[str, Any] | None:
        return self._read("environment.json")

    def write_result(self, result: dict[str, Any]) -> None:
        """Ends the run. Once: a result is never replaced."""
        assert self.result() is None, f"{self.path} has its result"
        durable.write_atomic(self.path / "result.json", durable.json_bytes({"format": FORMAT, **result}))

    def result(self) -> dict[str, Any] | None:
        return self._read("result.json")

    def status(self) -> Status:
        result = self.result()
        if result is not None:
            return result["status"]
        if is_locked(self.path / "lock"):
            return "running"
        events = self.events()
        if not events:
            return "pending"
        return "stopped" if events[-1]["event"] == "stopped" else "died"

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self.path / name
        return durable.read_json(path) if path.exists() else None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
