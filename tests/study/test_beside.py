"""isostate.study.beside: folders of runs written by hand, none of them trained."""

from __future__ import annotations

import pytest

from isostate.config import digest
from isostate.records import RunDirectory
from isostate.study.beside import copy_beside, done_beside, result_beside

CONFIG = {"seed": 0}
RUN = digest(CONFIG)


def write(study_dir, status="done", **result):
    """The run in the folder of a study, ended with `status`; None: not ended."""
    study_dir.mkdir(exist_ok=True)
    run = RunDirectory(study_dir / RUN).create(CONFIG)
    if status is not None:
        run.write_result({"status": status, **result})
    return run


def test_a_run_of_another_study_is_copied_whole_but_for_its_lock(tmp_path):
    other = write(tmp_path / "b", loss_nats=3.0)
    (other.checkpoints / "step-1").mkdir(parents=True)
    for name in ("lock", "metrics.jsonl", "checkpoints/step-1/model.safetensors"):
        (other.path / name).write_bytes(name.encode())
    (tmp_path / "a").mkdir()
    assert result_beside(tmp_path / "a", RUN)["loss_nats"] == 3.0
    assert copy_beside(tmp_path / "a", RUN)
    mine = tmp_path / "a" / RUN
    files = {path.relative_to(other.path): path.read_bytes() for path in other.path.rglob("*") if path.is_file()}
    copied = {path.relative_to(mine): path.read_bytes() for path in mine.rglob("*") if path.is_file()}
    assert files.keys() - copied.keys() == {(other.path / "lock").relative_to(other.path)}
    assert copied.items() <= files.items()
    assert [path.name for path in mine.parent.iterdir()] == [RUN]


def test_one_that_was_begun_here_gives_way_and_one_that_has_its_result_stays(tmp_path):
    write(tmp_path / "a", status=None)
    write(tmp_path / "b", loss_nats=3.0)
    assert copy_beside(tmp_path / "a", RUN)
    assert RunDirectory(tmp_path / "a" / RUN).result()["loss_nats"] == 3.0
    assert not copy_beside(tmp_path / "a", RUN)
    assert [path.name for path in (tmp_path / "a").iterdir()] == [RUN]


@pytest.mark.parametrize("status", [None, "diverged"])
def test_what_is_not_done_there_is_trained_here(tmp_path, status):
    write(tmp_path / "b", status)
    assert result_beside(tmp_path / "a", RUN) is None
    assert not copy_beside(tmp_path / "a", RUN)


@pytest.mark.parametrize("name", ["FORMAT", "config.json", "result.json"])
def test_a_damaged_run_of_another_study_is_passed_over_for_a_whole_one(tmp_path, name):
    (write(tmp_path / "b").path / name).write_text("{")
    assert done_beside(tmp_path / "a", RUN) is None
    whole = write(tmp_path / "c")
    assert done_beside(tmp_path / "a", RUN).path == whole.path


def test_hidden_folders_and_its_own_are_no_other_studies(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / ".b")
    assert done_beside(tmp_path / "a", RUN) is None
