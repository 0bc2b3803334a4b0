"""Writes that a crash cannot tear: whole files by temporary file, sync and rename; rows by one write of a whole line.

A file is either as it was or as it was to be, never half of each; a row that did get torn (the machine died inside the
write) has no newline, and readers pass over it. Temporary names are `.<name>.tmp-<pid>`; `sweep` removes what the dead
left. Disk full, read-only folders and the like rise as OSError, and leave nothing half-written behind.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

from isostate.config import UserError, canonical_json


def write_atomic(path: Path, content: bytes) -> None:
    """Replaces the file `path` by `content`, on disk when this returns."""
    temporary = temporary_name(path)
    try:
        write_synced(temporary, content)
        os.replace(temporary, path)
        sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)  # gone already, unless something above rose


def write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes names in `folder` durable: a rename is not on disk before its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_file(path: Path) -> None:
    sync_folder(path)  # fsync takes any descriptor, read-only ones too


def temporary_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.tmp-{os.getpid()}")


def put_in_place(temporary: Path, target: Path) -> None:
    """The folder `temporary` becomes `target`, instead of one that may stand there."""
    if target.exists():
        shutil.rmtree(target.rename(temporary_name(target.with_name(f"{target.name}.replaced"))))
    temporary.rename(target)


def sweep(folder: Path) -> None:
    """Removes what killed writers left in `folder`; only for who holds its lock: the living lose theirs too."""
    for leftover in folder.glob(".*.tmp-*"):
        if leftover.is_dir():
            shutil.rmtree(leftover)
        else:
            leftover.unlink()


def json_bytes(values: Any) -> bytes:
    """Canonical JSON with a final newline: equal values are equal bytes. NaN and infinity are refused (ValueError)."""
    return (canonical_json(values) + "\n").encode()


def append_row(path: Path, row: dict[str, Any]) -> None:
    """Appends one JSON line by one write. A write cut short (disk full) is taken back before OSError rises."""
    line = json_bytes(row)
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(descriptor).st_size
        try:
            if os.write(descriptor, line) != len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))  # the rest did not fit
        except OSError:
            os.ftruncate(descriptor, size)
            raise
    finally:
        os.close(descriptor)


def read_lines(path: Path) -> list[bytes]:
    """The whole lines of a file, without newlines; none when there is no file. A torn last line is passed over."""
    if not path.exists():
        return []
    return path.read_bytes().split(b"\n")[:-1]


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file. Raises UserError naming the line that is not JSON."""
    rows = []
    for number, line in enumerate(read_lines(path), start=1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            raise UserError(
                f"{path}, line {number}: not JSON; the record is damaged, delete the run's folder"
            ) from None
    return rows


def keep_lines(path: Path, lines: list[bytes]) -> None:
    """Replaces a JSONL file by `lines`."""
    write_atomic(path, b"".join(line + b"\n" for line in lines))


def read_json(path: Path) -> Any:
    """A JSON file's value. Raises UserError when it is not JSON."""
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        raise UserError(f"{path}: not JSON; the record is damaged, delete the run's folder") from None
