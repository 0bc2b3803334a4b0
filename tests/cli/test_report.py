"""isostate.cli.report."""

from __future__ import annotations

import json

from isostate.cli import main
from isostate.cli.report import refresh, up_to_date


def test_it_fits_and_draws_again(finished, capsys):
    folder = finished / "runs" / "tiny"
    for name in ("report.html", "laws.json", "summary.json"):
        (folder / name).unlink()
    assert main(["report", "tiny", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["report"] == "runs/tiny/report.html"
    assert [law["family"] for law in answer["laws"]] == ["power-2", "window"]
    assert (folder / "report.html").read_text().startswith("<!")


def test_a_page_is_up_to_date_until_a_record_changes(finished):
    folder = finished / "runs" / "tiny"
    tables = refresh(folder)
    assert up_to_date(folder) == tables
    assert list(up_to_date(folder)["laws"][0]) == list(tables["laws"][0])
    assert tables["joint_laws"] == []
    metrics = next(folder.glob("*/metrics.jsonl"))
    metrics.write_text(metrics.read_text() + "{}\n")
    assert up_to_date(folder) is None


def test_a_damaged_summary_is_made_again(finished):
    folder = finished / "runs" / "tiny"
    (folder / "summary.json").write_text("{")
    assert up_to_date(folder) is None
    (folder / "summary.json").unlink()
    assert up_to_date(folder) is None
