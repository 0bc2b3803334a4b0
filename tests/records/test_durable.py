"""Whole files or none, whole rows or none, whatever fails in the middle."""

from __future__ import annotations

import errno
import os

import pytest

from isostate.config import UserError
from isostate.records import durable


def disk_full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_replaced_whole(tmp_path):
    path = tmp_path / "a.json"
    durable.write_atomic(path, b"old")
    durable.write_atomic(path, b"new and longer")
    assert path.read_bytes() == b"new and longer"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    path = tmp_path / "a.json"
    durable.write_atomic(path, b"old")
    monkeypatch.setattr(os, call, disk_full)
    with pytest.raises(OSError, match="No space left"):
        durable.write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_missing_folder_rises_as_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        durable.write_atomic(tmp_path / "missing" / "a.json", b"x")


def test_a_row_cut_short_is_taken_back(tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    durable.append_row(path, {"step": 1})
    whole = path.read_bytes()
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, line: write(descriptor, line[:5]))
    with pytest.raises(OSError, match="No space left"):
        durable.append_row(path, {"step": 2})
    assert path.read_bytes() == whole


def test_a_torn_last_line_is_passed_over(tmp_path):
    path = tmp_path / "rows.jsonl"
    durable.append_row(path, {"step": 1})
    with path.open("ab") as file:
        file.write(b'{"step": 2, "lo')
    assert durable.read_rows(path) == [{"step": 1}]
    assert durable.read_rows(tmp_path / "none.jsonl") == []


def test_a_damaged_line_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"step":1}\n{"step"\n{"step":3}\n')
    with pytest.raises(UserError, match="line 2: not JSON"):
        durable.read_rows(path)
    with pytest.raises(UserError, match="not JSON"):
        durable.read_json(path)


def test_no_row_holds_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        durable.append_row(tmp_path / "rows.jsonl", {"loss_nats": float("nan")})
    assert not (tmp_path / "rows.jsonl").exists()


def test_sweep_removes_what_the_dead_left_and_nothing_else(tmp_path):
    (tmp_path / ".result.json.tmp-1").write_bytes(b"half")
    (tmp_path / ".step-00000002.tmp-1").mkdir()
    (tmp_path / ".step-00000002.tmp-1" / "model.safetensors").write_bytes(b"half")
    (tmp_path / "result.json").write_bytes(b"{}")
    durable.sweep(tmp_path)
    assert os.listdir(tmp_path) == ["result.json"]
    durable.sweep(tmp_path / "missing")
