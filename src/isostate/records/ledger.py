"""The ledger of a study: an index over its run directories that a parent and its workers may write at once.

The directories are the truth. A ledger that is lost or damaged is made again from them (`Ledger.rebuilt` says so, for
the caller to report). SQLite in WAL mode: a writer killed at any instant leaves the last whole transaction.
"""

from __future__ import annotations

import json
import os
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from isostate.config import canonical_json
from isostate.records.locks import is_locked
from isostate.records.run_directory import RunDirectory, Status

COLUMNS = ("run_id", "status", "pid", "updated", "facts")
SCHEMA = "CREATE TABLE IF NOT EXISTS runs (run_id TEXT PRIMARY KEY, status TEXT, pid INTEGER, updated TEXT, facts TEXT)"


def run_directories(study_dir: Path) -> list[RunDirectory]:
    """The runs of a study, by name. Hidden folders (being made, or left by the dead) are not runs."""
    folders = (path.parent for path in study_dir.glob("*/config.json") if not path.parent.name.startswith("."))
    return [RunDirectory(folder) for folder in sorted(folders)]


class Ledger:
    """`ledger.sqlite` of a study. A row: run_id, status, pid of its worker or None, time of change, facts (a dict)."""

    def __init__(self, study_dir: Path):
        self.study_dir = study_dir
        self.path = study_dir / "ledger.sqlite"
        self.rebuilt = False
        missing = not self.path.exists()
        try:
            self._open()
        except sqlite3.DatabaseError:
            for suffix in ("", "-wal", "-shm"):
                self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
            self._open()
            self.rebuilt = True
        if missing or self.rebuilt:
            self.rebuild()

    def put(self, run_id: str, status: Status, facts: dict[str, Any] | None = None, pid: int | None = None) -> None:
        """Sets a run's row; `facts` of None keeps the facts that are there."""
        self._execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?) ON CONFLICT (run_id) DO UPDATE SET status = excluded.status,"
            " pid = excluded.pid, updated = excluded.updated, facts = CASE WHEN ? THEN excluded.facts ELSE facts END",
            (run_id, status, pid, _now(), canonical_json(facts or {}), facts is not None),
        )

    def rows(self) -> list[dict[str, Any]]:
        found = self._execute(f"SELECT {', '.join(COLUMNS)} FROM runs ORDER BY run_id")
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in found]
        return [{**row, "facts": json.loads(row["facts"])} for row in rows]

    def notice_dead(self) -> list[str]:
        """Runs entered as running that no living process trains: their rows now say what became of them."""
        dead = [
            row["run_id"]
            for row in self.rows()
            if row["status"] == "running"
            and not _alive(row["pid"])
            and not is_locked(self.study_dir / row["run_id"] / "lock")
        ]
        for run_id in dead:
            status = RunDirectory(self.study_dir / run_id).status()
            self.put(run_id, "died" if status == "pending" else status)
        return dead

    def rebuild(self) -> None:
        """Fills the ledger from the run directories alone."""
        directories = run_directories(self.study_dir)
        rows = [(run.run_id, run.status(), None, _now(), canonical_json(run.facts() or {})) for run in directories]
        with self._db:  # commits, or rolls back when something rises
            self._execute("BEGIN IMMEDIATE")
            self._execute("DELETE FROM runs")
            for row in rows:
                self._execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?)", row)

    def close(self) -> None:
        self._db.close()

    def _open(self) -> None:
        try:
            self._db = sqlite3.connect(self.path, timeout=30.0, isolation_level=None)
        except sqlite3.OperationalError as error:
            raise OSError(f"{self.path}: {error}") from error
        try:
            self._execute("PRAGMA journal_mode=WAL")
            self._execute("PRAGMA synchronous=NORMAL")
            self._execute(SCHEMA)
            (verdict,) = self._execute("PRAGMA quick_check").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            self._execute(f"SELECT {', '.join(COLUMNS)} FROM runs LIMIT 1")
        except (sqlite3.DatabaseError, OSError):
            self._db.close()
            raise

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.OperationalError as error:  # disk full, read-only, locked for long: the system's, not damage
            raise OSError(f"{self.path}: {error}") from error


def _alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # another user's, but it lives
    return True


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
