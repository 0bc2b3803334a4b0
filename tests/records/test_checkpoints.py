"""Checkpoints: whole or absent; one changed byte anywhere is noticed, named, and the checkpoint before it is used."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from isostate.config import UserError
from isostate.records.checkpoints import (
    MANIFEST,
    checkpoint_step,
    checkpoints_of,
    newest_valid_checkpoint,
    prune,
    set_aside_damaged,
    verify,
    write_checkpoint,
)
from isostate.records.durable import json_bytes

FILES = {"model.safetensors": bytes(range(256)), "state.json": b'{"step":3}\n'}


def write(run: Path, *steps: int) -> list[Path]:
    return [write_checkpoint(run / "checkpoints", step, FILES) for step in steps]


def test_what_is_written_is_verified_and_read_back(tmp_path):
    (checkpoint,) = write(tmp_path, 3)
    assert checkpoint.name == "step-00000003"
    assert checkpoint_step(checkpoint) == 3
    assert verify(checkpoint) == []
    assert {path.name for path in checkpoint.iterdir()} == {*FILES, MANIFEST}
    assert (checkpoint / "state.json").read_bytes() == FILES["state.json"]
    assert os.listdir(tmp_path / "checkpoints") == [checkpoint.name]


def test_a_writer_may_write_its_file_itself(tmp_path):
    by_bytes = write_checkpoint(tmp_path / "a", 1, {"x": b"same"})
    by_writer = write_checkpoint(tmp_path / "b", 1, {"x": lambda path: path.write_bytes(b"same")})
    assert (by_bytes / MANIFEST).read_bytes() == (by_writer / MANIFEST).read_bytes()


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_every_flipped_bit_is_noticed_and_its_file_named(tmp_path, name):
    (checkpoint,) = write(tmp_path, 3)
    path = checkpoint / name
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
        assert verify(checkpoint) == [f"{name}: SHA-256 differs"]
    path.write_bytes(whole)
    assert verify(checkpoint) == []


@pytest.mark.parametrize("name", [*FILES, MANIFEST])
def test_every_truncation_and_loss_of_a_file_is_noticed_and_named(tmp_path, name):
    (checkpoint,) = write(tmp_path, 3)
    path = checkpoint / name
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        (problem,) = verify(checkpoint)
        assert problem.startswith(f"{name}: ")
    path.write_bytes(whole + b"\0")
    assert verify(checkpoint)[0].startswith(f"{name}: ")
    path.unlink()
    assert verify(checkpoint) == [f"{name}: missing"]


def test_the_newest_valid_checkpoint_is_used_and_the_damage_told(tmp_path):
    older, middle, newest = write(tmp_path, 1, 2, 10)
    assert newest_valid_checkpoint(tmp_path) == (newest, [])
    (newest / "state.json").unlink()
    (middle / "model.safetensors").write_bytes(b"short")
    problems = ["step-00000010/state.json: missing", "step-00000002/model.safetensors: 5 bytes instead of 256"]
    assert newest_valid_checkpoint(tmp_path) == (older, problems)
    set_aside_damaged(tmp_path, older)
    assert newest_valid_checkpoint(tmp_path) == (older, [])
    names = {"step-00000001", "damaged-step-00000002", "damaged-step-00000010"}
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == names


def test_no_checkpoint_is_no_problem(tmp_path):
    assert newest_valid_checkpoint(tmp_path) == (None, [])


def test_a_newer_format_is_refused_rather_than_fallen_back_from(tmp_path, monkeypatch):
    write(tmp_path, 1)
    monkeypatch.setattr("isostate.records.checkpoints.FORMAT", 2)
    write(tmp_path, 2)
    monkeypatch.undo()
    with pytest.raises(UserError, match="checkpoint format 2, this Isostate reads 1; upgrade"):
        newest_valid_checkpoint(tmp_path)


def test_a_manifest_that_is_not_one_is_damage(tmp_path):
    (checkpoint,) = write(tmp_path, 1)
    for text in (b"", b"[]\n", b"{}\n", b"null\n", json_bytes({"files": 3, "format": 1, "sha256": ""}), b"NaN\n"):
        (checkpoint / MANIFEST).write_bytes(text)
        assert verify(checkpoint) == [f"{MANIFEST}: SHA-256 differs"]


def test_a_full_disk_leaves_the_older_checkpoints_and_nothing_else(tmp_path, monkeypatch):
    (older,) = write(tmp_path, 1)
    fsync, left = os.fsync, [3]

    def full_at_the_third(descriptor):
        left[0] -= 1
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", full_at_the_third)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, 2)
    assert os.listdir(tmp_path / "checkpoints") == [older.name]
    assert verify(older) == []


def test_pruning_keeps_the_newest_by_number(tmp_path):
    write(tmp_path, 9, 10, 100)
    prune(tmp_path / "checkpoints", keep=2)
    assert [checkpoint_step(path) for path in checkpoints_of(tmp_path / "checkpoints")] == [10, 100]
    assert len(os.listdir(tmp_path / "checkpoints")) == 2


def test_a_damaged_checkpoint_is_replaced_by_a_new_one_of_its_step(tmp_path):
    (checkpoint,) = write(tmp_path, 4)
    (checkpoint / "state.json").unlink()
    write(tmp_path, 4)
    assert verify(checkpoint) == []
