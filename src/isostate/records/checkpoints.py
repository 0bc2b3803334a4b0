"""Checkpoints as folders of files under a manifest: written whole or not at all, verified byte for byte before use.

    checkpoints/step-00000200/   any files (safetensors, JSON; never pickle), and MANIFEST.json, written last:
        {"files": {name: {"bytes", "sha256"}}, "format": 1, "sha256": of the other two}

The folder is filled under a temporary name, each file and the folder synced, then renamed. The manifest carries its own
hash and has one spelling only, so that a flipped bit in it is told apart from one in a file it names.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from isostate.config import UserError
from isostate.records.durable import json_bytes, sweep, sync_file, sync_folder, temporary_name, write_synced

FORMAT = 1
MANIFEST = "MANIFEST.json"


def checkpoint_name(step: int) -> str:
    return f"step-{step:08d}"


def checkpoint_step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step-"))


def write_checkpoint(folder: Path, step: int, files: Mapping[str, bytes | Callable[[Path], None]]) -> Path:
    """Writes `folder/step-…` from contents, or from functions that write the file they are given. Returns its path."""
    folder.mkdir(exist_ok=True)
    target = folder / checkpoint_name(step)
    temporary = temporary_name(target)
    temporary.mkdir()
    try:
        for name, content in files.items():
            if isinstance(content, bytes):
                write_synced(temporary / name, content)
            else:
                content(temporary / name)
                sync_file(temporary / name)
        sums = {name: _sum(temporary / name) for name in sorted(files)}
        write_synced(temporary / MANIFEST, json_bytes(_manifest(sums)))
        sync_folder(temporary)
        if target.exists():  # only ever a damaged one that its run fell back from
            shutil.rmtree(target)
        os.rename(temporary, target)
        sync_folder(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)  # gone already, unless something above rose
    return target


def verify(checkpoint: Path) -> list[str]:
    """What is wrong with a checkpoint, a line for each file; none means that every byte is as written.

    Raises UserError for a checkpoint that a newer Isostate wrote.
    """
    if not (checkpoint / MANIFEST).is_file():
        return [f"{MANIFEST}: missing"]
    manifest = _read_manifest((checkpoint / MANIFEST).read_bytes())
    if manifest is None:
        return [f"{MANIFEST}: SHA-256 differs"]
    if manifest["format"] != FORMAT:
        raise UserError(f"{checkpoint}: checkpoint format {manifest['format']}, this Isostate reads {FORMAT}; upgrade")
    problems = (_problem(checkpoint / name, recorded) for name, recorded in manifest["files"].items())
    return [problem for problem in problems if problem]


def recorded_sums(run: Path) -> dict[str, dict[str, Any]]:
    """{file: {"bytes", "sha256"}} of the newest checkpoint of the run `run`, by its manifest; {} without one."""
    checkpoints = checkpoints_of(run / "checkpoints")
    if not checkpoints:
        return {}
    manifest = _read_manifest((checkpoints[-1] / MANIFEST).read_bytes())
    if manifest is None:
        raise UserError(f"{checkpoints[-1] / MANIFEST}: SHA-256 differs; delete the run's folder to train it again")
    return manifest["files"]


def checkpoints_of(folder: Path) -> list[Path]:
    """Checkpoints in `folder`, oldest first, damaged ones too."""
    return sorted(folder.glob("step-*"), key=checkpoint_step)


def newest_valid_checkpoint(run: Path) -> tuple[Path | None, list[str]]:
    """The newest whole checkpoint of the run directory `run` (None: there is none); what is wrong with newer ones."""
    problems: list[str] = []
    for checkpoint in reversed(checkpoints_of(run / "checkpoints")):
        found = verify(checkpoint)
        if not found:
            return checkpoint, problems
        problems += [f"{checkpoint.name}/{problem}" for problem in found]
    return None, problems


def set_aside_damaged(run: Path, newest: Path | None) -> None:
    """Renames checkpoints newer than `newest` to `damaged-…`, so that no pruning counts them as one to fall back on."""
    for checkpoint in checkpoints_of(run / "checkpoints"):
        if newest is None or checkpoint_step(checkpoint) > checkpoint_step(newest):
            aside = checkpoint.with_name(f"damaged-{checkpoint.name}")
            if aside.exists():
                shutil.rmtree(aside)
            checkpoint.rename(aside)


def prune(folder: Path, keep: int) -> None:
    """Removes all but the newest `keep` checkpoints: renamed first, so that a kill leaves no half of one."""
    for checkpoint in checkpoints_of(folder)[:-keep]:
        checkpoint.rename(temporary_name(checkpoint))
    sweep(folder)


def _manifest(sums: dict[str, dict[str, Any]]) -> dict[str, Any]:
    body = {"files": sums, "format": FORMAT}
    return {**body, "sha256": _digest(json_bytes(body))}


def _read_manifest(text: bytes) -> dict[str, Any] | None:
    """The manifest, or None when it is not byte for byte as it was written."""
    try:
        manifest = json.loads(text)
        body = {"files": manifest["files"], "format": manifest["format"]}
        intact = text == json_bytes({**body, "sha256": _digest(json_bytes(body))})
    except (ValueError, KeyError, TypeError):  # not JSON, or not a manifest
        return None
    return manifest if intact else None


def _sum(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": _digest(content)}


def _problem(path: Path, recorded: dict[str, Any]) -> str | None:
    if not path.is_file():
        return f"{path.name}: missing"
    found = _sum(path)
    if found["bytes"] != recorded["bytes"]:
        return f"{path.name}: {found['bytes']} bytes instead of {recorded['bytes']}"
    return None if found["sha256"] == recorded["sha256"] else f"{path.name}: SHA-256 differs"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
