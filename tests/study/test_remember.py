"""isostate.study.remember."""

from __future__ import annotations

import subprocess
import sys

import pytest

from isostate.data import resolve
from isostate.records import RunDirectory
from isostate.study.file import StudyFile
from isostate.study.grid import expand
from isostate.study.remember import finished, key_of, plan_of, read_plan, write_plan
from tests.study import tiny


@pytest.fixture
def planned(tmp_path):
    """(study_dir, file, text) of a plan of three runs, none of them trained."""
    text = tiny.corpus(tmp_path / "text")
    file, study, study_dir = tiny.file(text), tiny.study(text), tmp_path / "tiny"
    data = resolve(study.data.at(16))
    cells = expand(study, "", {data.text: data.fingerprint})[0]
    for cell in cells:
        RunDirectory(study_dir / cell.run_id).create(cell.config.to_dict())
    rows = [{"run_id": cell.run_id} for cell in cells]
    write_plan(
        study_dir, file, {data.text: data.to_dict()}, {"settled": True, "rates": {}, "notices": [], "runs": rows}
    )
    return study_dir, file, text


def test_a_plan_is_remembered_for_these_values_and_this_text(planned):
    study_dir, file, text = planned
    assert plan_of(study_dir, file) == read_plan(study_dir)
    assert plan_of(study_dir, StudyFile(file.path, {**file.values, "seeds": [1]})) is None
    (text / "a.txt").write_text("another text")
    assert plan_of(study_dir, file) is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"format": 99}'])
def test_a_plan_that_is_damaged_or_newer_is_no_plan(planned, content):
    study_dir, file, _ = planned
    (study_dir / "plan.json").write_text(content)
    assert plan_of(study_dir, file) is None


def test_a_study_is_finished_when_every_run_has_its_result(planned):
    study_dir, file, _ = planned
    plan = plan_of(study_dir, file)
    for row, status in zip(plan["runs"], ("done", "diverged", "done"), strict=True):
        assert not finished(study_dir, plan)
        RunDirectory(study_dir / row["run_id"]).write_result({"status": status})
    assert finished(study_dir, plan)
    assert not finished(study_dir, {**plan, "settled": False})


def test_a_key_is_of_the_values_whatever_their_order_and_kind():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1}) != key_of({"a": 1, "b": 3})
    assert key_of({"a": float("nan")}) != key_of({"a": 1.0})


def test_it_needs_no_torch():
    code = "import sys, isostate.study.remember, isostate.study.execute; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
