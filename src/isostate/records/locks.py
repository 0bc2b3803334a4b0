"""Locks on files: held by a living process, freed by the system at its death, however it died.

So "running" needs no heartbeat and no stale pid: a run is running exactly while its lock is held. The file's text says
who holds it, for people only. A spawned program does not inherit the lock, a bare fork does: start workers by spawn.
"""

from __future__ import annotations

import fcntl
import math
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from isostate.config import UserError

PATIENCE_S = 2.0  # a probe by `is_locked` holds the lock for microseconds: outlast it, not a real holder
POLL_S = 0.2


@contextmanager
def held(path: Path, what: str, say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Holds the lock `path` inside the block. When another process has it: says so once through `say` and waits until
    it is free; without `say`, raises UserError naming the holder."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while not _take(descriptor, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                if say is None:
                    raise UserError(f"{what} is in use by {holder(path)}; wait until it ends, or stop it")
                say(f"{what} is in use by {holder(path)}; waiting until it ends")
                deadline = math.inf
            time.sleep(POLL_S)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {platform.node()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # frees the lock


def is_locked(path: Path) -> bool:
    """Whether a living process holds the lock `path`."""
    if not path.exists():
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return not _take(descriptor, fcntl.LOCK_SH)
    finally:
        os.close(descriptor)


def holder(path: Path) -> str:
    """Who holds (or last held) the lock: "process 123 on host"."""
    text = path.read_text(encoding="utf-8").strip() if path.exists() else ""
    return text or "another process"


class StudyLock:
    """`with StudyLock(study_dir):` one `run` of a study at a time. A second one says so through `say` and waits, or,
    without `say`, is refused with the first one's process number (UserError)."""

    def __init__(self, study_dir: Path, say: Callable[[str], None] | None = None):
        self._held = held(study_dir / "lock", f"study {study_dir.name}", say)

    def __enter__(self) -> None:
        self._held.__enter__()

    def __exit__(self, *raised) -> None:
        self._held.__exit__(*raised)


def _take(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
