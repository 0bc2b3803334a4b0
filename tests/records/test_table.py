"""The table: a row a run, curves joined with their seconds, unfinished runs too."""

from __future__ import annotations

import pytest

from isostate.config import UserError, digest
from isostate.records import RunDirectory, table


def create(study, seed):
    return RunDirectory(study / digest({"seed": seed})).create({"seed": seed})


def test_a_finished_run_gives_its_result_its_curve_and_its_seconds(tmp_path):
    run = create(tmp_path, 1)
    run.write_facts({"run_id": run.run_id, "family": "power-2"})
    run.write_environment({"torch": "2.13", "started": "then"})
    run.append_metric({"kind": "train", "step": 10, "loss_nats": 5.0})
    run.append_timing(10, 1.5)
    run.append_metric({"kind": "train", "step": 20, "loss_nats": 4.0})
    run.append_timing(20, 3.0)
    run.append_metric({"kind": "eval", "step": 20, "context": 256, "loss_nats": 4.1})
    run.append_metric({"kind": "eval", "step": 20, "context": 1024, "loss_nats": 4.2})
    run.append_metric({"kind": "eval", "step": 25, "context": 256, "loss_nats": 4.05})
    run.write_result({"run_id": run.run_id, "status": "done", "family": "power-2"})
    (row,) = table(tmp_path)
    assert (row["status"], row["family"], row["train_s"]) == ("done", "power-2", 3.0)
    assert row["environment"]["torch"] == "2.13"
    assert row["config"] == {"seed": 1}
    assert row["run_dir"] == str(run.path)
    assert row["curve"] == [
        {"step": 10, "train_s": 1.5, "train_loss_nats": 5.0, "eval": {}},
        {"step": 20, "train_s": 3.0, "train_loss_nats": 4.0, "eval": {"256": 4.1, "1024": 4.2}},
        {"step": 25, "train_s": None, "train_loss_nats": None, "eval": {"256": 4.05}},
    ]


def test_unfinished_runs_have_a_status_and_no_final(tmp_path):
    create(tmp_path, 1)
    died = create(tmp_path, 2)
    died.write_facts({"family": "window"})
    died.append_event("started", step=0)
    with (died.path / "metrics.jsonl").open("wb") as file:
        file.write(b'{"kind":"train","loss_nats":5.0,"step":10}\n{"kind":"tra')  # as seen while it is written
    rows = {row["status"]: row for row in table(tmp_path)}
    assert set(rows) == {"pending", "died"}
    assert rows["pending"]["curve"] == []
    assert rows["pending"]["train_s"] is None
    assert rows["died"]["family"] == "window"
    assert [point["step"] for point in rows["died"]["curve"]] == [10]
    assert not any("final" in row for row in rows.values())


def test_a_foreign_directory_in_a_study_is_told_not_tabled(tmp_path):
    create(tmp_path, 1)
    create(tmp_path, 2).path.rename(tmp_path / ("0" * 16))
    with pytest.raises(UserError, match="foreign run directory"):
        table(tmp_path)


def test_an_empty_study_is_an_empty_table(tmp_path):
    assert table(tmp_path) == []
