"""isostate.study.file."""

from __future__ import annotations

from pathlib import Path

import pytest

from isostate.config import UserError
from isostate.study.file import StudyFile, find_study, read_study
from tests.study import tiny


def test_a_file_is_its_values_with_what_set_changes(tmp_path):
    path = tiny.write(tmp_path / "tiny.toml", tiny.values())
    assert read_study(path).values == tiny.values()
    changed = read_study(path, ["train.steps=500", "data.corpus=python"]).values
    assert (changed["train"]["steps"], changed["data"]["corpus"]) == (500, "python")


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b", 7, None, "x" * 65, "a\n"])
def test_a_name_that_could_not_name_a_folder_is_none(name):
    assert StudyFile(Path("a.toml"), {"name": name}).name is None


def test_records_are_found_by_name_by_file_and_by_folder(tmp_path):
    runs = tmp_path / "runs"
    (runs / "tiny").mkdir(parents=True)
    (runs / "tiny" / "study.json").write_text("{}")
    path = tiny.write(tmp_path / "any-name.toml", tiny.values())
    assert find_study("tiny", runs) == find_study(str(path), runs) == find_study(str(runs / "tiny"), runs)


def test_a_study_without_records_is_refused_with_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"no records of tiny in .*run it first"):
        find_study("tiny", tmp_path)
