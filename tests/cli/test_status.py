"""isostate.cli.status."""

from __future__ import annotations

import json

from isostate.cli import main
from isostate.records import StudyLock


def test_it_tells_where_every_run_stands(finished, capsys):
    assert main(["status", "tiny"]) == 0
    told = capsys.readouterr().out
    assert told.count("done") == 3 + 1
    assert "10 / 10" in told
    assert "not running" in told


def test_a_run_that_was_cut_has_time_left(finished, capsys):
    runs = finished / "runs" / "tiny"
    result = next(runs.glob("*/result.json"))
    result.unlink()
    metrics = result.with_name("metrics.jsonl")
    rows = [line for line in metrics.read_text().splitlines(keepends=True) if json.loads(line)["step"] <= 4]
    metrics.write_text("".join(rows))
    assert main(["status", "tiny.toml", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["counts"]["done"] == 2
    (cut,) = [row for row in answer["runs"] if row["status"] != "done"]
    planned = next(
        row for row in json.loads((runs / "plan.json").read_text())["runs"] if row["run_id"] == cut["run_id"]
    )
    assert cut["step"] == 4
    assert cut["left_s"] == planned["predicted_s"] * 0.6


def test_who_runs_it_is_told(finished, capsys):
    with StudyLock(finished / "runs" / "tiny"):
        main(["status", "tiny", "--json"])
    assert json.loads(capsys.readouterr().out)["running_by"].startswith("process ")


def test_without_its_plan_the_directories_tell(finished, capsys):
    (finished / "runs" / "tiny" / "plan.json").unlink()
    assert main(["status", "tiny", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"done": 3}
