"""A run directory: made whole, named by its config, foreign and newer ones refused, its status told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from isostate.config import UserError, digest
from isostate.records import RunDirectory

CONFIG = {"seed": 1, "train": {"lr": 1e-3, "steps": 10}}


def create(parent: Path, config=CONFIG) -> RunDirectory:
    return RunDirectory(parent / digest(config)).create(config)


def test_a_run_directory_is_named_by_its_config_and_gives_it_back(tmp_path):
    run = create(tmp_path / "runs" / "study")
    assert run.config() == CONFIG
    assert run.run_id == digest(CONFIG)
    assert create(tmp_path / "runs" / "study").config() == CONFIG  # a second time is no harm
    assert os.listdir(tmp_path / "runs" / "study") == [run.run_id]


def test_an_empty_folder_of_that_name_is_filled(tmp_path):
    (tmp_path / digest(CONFIG)).mkdir()
    assert create(tmp_path).config() == CONFIG


def test_a_foreign_directory_is_refused_and_untouched(tmp_path):
    run = create(tmp_path)
    config = run.path / "config.json"
    config.write_bytes(config.read_bytes().replace(b'"seed":1', b'"seed":2'))
    before = config.read_bytes()
    with pytest.raises(UserError, match=r"foreign run directory, its config.json is of run [0-9a-f]{16}; move it away"):
        create(tmp_path)
    assert config.read_bytes() == before


@pytest.mark.parametrize("name", ["FORMAT", "config.json"])
def test_a_folder_that_is_no_run_directory_is_refused(tmp_path, name):
    run = create(tmp_path)
    (run.path / name).unlink()
    with pytest.raises(UserError, match=f"not a run directory .*{name}.*; move it away"):
        create(tmp_path)


def test_a_file_in_the_place_of_the_directory_is_refused(tmp_path):
    (tmp_path / digest(CONFIG)).write_text("mine")
    with pytest.raises(UserError, match="not a run directory"):
        create(tmp_path)


def test_a_newer_format_is_refused_with_the_advice_to_upgrade(tmp_path):
    run = create(tmp_path)
    (run.path / "FORMAT").write_text("2\n")
    with pytest.raises(UserError, match="format 2, this Isostate reads format 1; upgrade"):
        run.config()


def test_a_failed_creation_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "rename", lambda *_: (_ for _ in ()).throw(PermissionError("read-only")))
    with pytest.raises(PermissionError):
        create(tmp_path)
    assert os.listdir(tmp_path) == []


def test_truncation_goes_back_to_the_rows_of_a_checkpoint(tmp_path):
    run = create(tmp_path)
    for step in (10, 20, 20, 30):
        run.append_metric({"kind": "train", "step": step})
        run.append_timing(step, step / 10)
    with (run.path / "metrics.jsonl").open("ab") as file:
        file.write(b'{"kind":"tr')
    run.truncate(rows=2, step=20)
    assert [row["step"] for row in run.metrics()] == [10, 20]
    assert (run.path / "metrics.jsonl").read_bytes().endswith(b"}\n")
    assert [row["step"] for row in run.timing()] == [10, 20, 20]
    run.append_metric({"kind": "train", "step": 30})
    assert [row["step"] for row in run.metrics()] == [10, 20, 30]
    with pytest.raises(UserError, match="has 3 of the 4 rows that its checkpoint at step 40 counts on"):
        run.truncate(rows=4, step=40)


def test_a_result_is_written_once_and_carries_the_format(tmp_path):
    run = create(tmp_path)
    assert run.result() is None
    run.write_result({"status": "done"})
    assert run.result() == {"format": 1, "status": "done"}
    with pytest.raises(AssertionError):
        run.write_result({"status": "diverged"})


def test_statuses_follow_what_is_on_disk(tmp_path):
    run = create(tmp_path)
    assert run.status() == "pending"
    with run.lock():
        assert run.status() == "running"
        run.append_event("started", step=0)
    assert run.status() == "died"
    run.append_event("stopped", step=3)
    assert run.status() == "stopped"
    run.write_result({"status": "diverged"})
    assert run.status() == "diverged"


def test_another_environment_is_noticed_and_recorded(tmp_path):
    run = create(tmp_path)
    first = {"torch": "2.13", "threads": 1, "started": "then"}
    assert run.write_environment(first) == []
    assert run.write_environment({**first, "started": "later"}) == []
    assert run.write_environment({**first, "torch": "2.14", "started": "later"}) == ["torch"]
    assert run.environment() == first
    (event,) = run.events()
    assert (event["event"], event["changed"]) == ("environment changed", {"torch": "2.14"})
