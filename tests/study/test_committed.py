"""isostate.study.committed: what is restored from committed records, and what was trained here and stays."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.data import resolve
from isostate.records import RunDirectory, read_committed
from isostate.study.committed import all_beside, collect, committed_of, covers, data_of, restore_run, restore_whole
from isostate.study.file import StudyFile
from isostate.study.grid import expand
from isostate.study.remember import finished, plan_of, write_plan
from tests.study import tiny

EXTRAS = {"role": "sweep", "size": "1x16", "knob": {}, "d_ff": 8, "wanted_state": None, "state_error": None}
COSTS = {"peak_bytes": 1, "step_s": 0.1, "step_measured": True, "predicted_s": 1.0}


@pytest.fixture
def study(tmp_path):
    """(file, study_dir) of three planned runs, two of them with results; nothing collected yet."""
    text = tiny.corpus(tmp_path / "text")
    values, study_dir = tiny.values(text), tmp_path / "runs" / "tiny"
    file = StudyFile(tmp_path / "tiny.toml", values)
    data = resolve(tiny.study(text).data.at(16))
    cells = expand(tiny.study(text), "", {data.text: data.fingerprint})[0]
    for number, cell in enumerate(cells):
        run = RunDirectory(study_dir / cell.run_id).create(cell.config.to_dict())
        run.append_metric({"kind": "train", "step": 10, "loss_nats": 3.0})
        if number:
            mixer = cell.config.model.mixer.to_dict()
            run.write_result({"run_id": cell.run_id, "mixer": mixer, "status": "done", "final": {}})
    rows = [{"run_id": cell.run_id, **EXTRAS, **COSTS} for cell in cells]
    write_plan(
        study_dir, file, {data.text: data.to_dict()}, {"settled": True, "rates": {}, "notices": [], "runs": rows}
    )
    return file, study_dir


def test_what_has_ended_is_collected_and_covers_the_study_once_all_has(study):
    file, study_dir = study
    assert committed_of(file) is None
    path, n_records, n_missing = collect(study_dir, file)
    assert (path, n_records, n_missing) == (file.records, 2, 1)
    partial = committed_of(file)
    assert not covers(partial, file)
    RunDirectory(study_dir / partial.missing[0]).write_result({"status": "diverged", "mixer": {}})
    assert collect(study_dir, file)[1:] == (3, 0)
    assert covers(committed_of(file), file)
    other = StudyFile(file.path, {**file.values, "seeds": [7]})
    assert not covers(committed_of(file), other)


def test_whole_records_bring_their_plan_with_them(study, tmp_path):
    file, study_dir = study
    (pending,) = [run for run in study_dir.iterdir() if run.is_dir() and not (run / "result.json").exists()]
    RunDirectory(pending).write_result({"run_id": pending.name, "status": "diverged", "mixer": {}})
    collect(study_dir, file)
    (tmp_path / "clone").mkdir()
    restore_whole(committed_of(file), file, tmp_path / "clone")
    plan = plan_of(tmp_path / "clone", file)
    assert finished(tmp_path / "clone", plan)
    assert {row["run_id"] for row in plan["runs"]} == set(committed_of(file).records)
    assert all(row["predicted_s"] == 1.0 for row in plan["runs"])


def test_a_run_that_was_trained_here_stays_and_a_restored_one_follows_its_record(study, tmp_path):
    file, study_dir = study
    collect(study_dir, file)
    committed = read_committed(file.records)
    run_id, record = next(iter(committed.records.items()))
    assert not restore_run([committed], run_id, study_dir)
    assert RunDirectory(study_dir / run_id).metrics()[0]["loss_nats"] == 3.0
    assert not restore_run([committed], committed.missing[0], tmp_path / "clone")
    assert restore_run([committed], run_id, tmp_path / "clone")
    run = RunDirectory(tmp_path / "clone" / run_id)
    first = (run.path / "result.json").stat().st_ino
    assert restore_run([committed], run_id, tmp_path / "clone")
    assert (run.path / "result.json").stat().st_ino == first
    (run.path / "restored.json").write_bytes((run.path / "restored.json").read_bytes().replace(run_id.encode(), b"0"))
    with pytest.raises(UserError, match="was altered"):
        restore_run([committed], run_id, tmp_path / "clone")
    assert record == committed.records[run_id]
    with run.lock():
        assert not restore_run([committed], run_id, tmp_path / "clone")


def test_the_texts_fingerprint_is_the_records_where_the_text_is_the_same_by_its_config(study):
    file, study_dir = study
    collect(study_dir, file)
    committed = committed_of(file)
    same = tiny.study(file.values["data"]["corpus"]).data.at(16)
    (found,), (recorded,) = data_of([committed], {same.text: same}).values(), committed.study["data"].values()
    assert found.fingerprint == recorded["fingerprint"] != ""
    other = same.model_copy(update={"tokenizer": "bpe-512"})
    assert data_of([committed], {other.text: other})[other.text].fingerprint == ""


def test_nothing_to_collect_is_said(study, tmp_path):
    file, study_dir = study
    with pytest.raises(UserError, match="holds no plan"):
        collect(tmp_path / "none", file)
    for run in study_dir.glob("*/result.json"):
        run.unlink()
    with pytest.raises(UserError, match="no run has ended"):
        collect(study_dir, file)


def test_a_run_that_the_study_beside_has_is_taken_from_there(study, tmp_path):
    file, study_dir = study
    collect(study_dir, file)
    other = StudyFile(file.path.with_name("other.toml"), {**file.values, "name": "other"})
    assert committed_of(other) is None
    (beside,) = all_beside(other)
    run_id = next(iter(beside.records))
    assert restore_run([beside], run_id, tmp_path / "other")
    (again,) = all_beside(file)
    assert again.path == file.records
