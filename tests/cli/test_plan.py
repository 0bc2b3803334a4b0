"""isostate.cli.plan."""

from __future__ import annotations

import json

from isostate.cli import main
from isostate.cli.plan import summary_line
from tests.study import tiny


def test_a_plan_shows_every_run_and_trains_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tiny.corpus(tmp_path / "text")
    tiny.write(tmp_path / "tiny.toml", tiny.values("text", sweep=[{"mixer": "window", "state_size": [128, 250]}]))
    assert main(["plan", "tiny.toml", "--jobs", "2"]) == 0
    told = capsys.readouterr().out
    assert "window 8" in told
    assert "+2.4 %" in told
    assert "2 runs to train of 2" in told
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [".cache"]


def test_as_json_it_holds_what_each_run_costs(finished, capsys):
    assert main(["plan", "tiny.toml", "--json", "--jobs", "1"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["total_s"] == 0.0
    assert {row["status"] for row in answer["runs"]} == {"done"}
    for row in answer["runs"]:
        assert {"n_params", "state", "train_flops", "peak_bytes", "predicted_s", "wanted_state"} <= row.keys()


def test_runs_that_another_study_here_has_done_are_done(finished, capsys):
    tiny.write(finished / "other.toml", {**tiny.values("text"), "name": "other"})
    assert main(["plan", "other.toml", "--json", "--jobs", "1"]) == 0
    assert {row["status"] for row in json.loads(capsys.readouterr().out)["runs"]} == {"done"}
    assert not (finished / "runs" / "other").exists()


def test_a_guess_is_marked():
    rows = [{"step_measured": True}, {"step_measured": False}]
    assert summary_line(rows, 2, 90.0, 2).endswith("2 runs to train of 2, about 1 min 30 s with 2 workers"
                                                   " (~: from the FLOPs of a measured one)")  # fmt: skip
    assert summary_line(rows, 0, 0.0, 2) == "2 runs, all of them finished"
