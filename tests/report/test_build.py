from __future__ import annotations

import json

import pytest

from isostate.config import UserError
from isostate.report import build_report
from tests.report import studies


@pytest.fixture
def study_dir(tmp_path):
    rows = [*studies.small(), studies.diverged(family="linear", state=65_536), studies.unfinished("running", 300)]
    studies.write(tmp_path / "study", studies.STUDY, list({row["run_id"]: row for row in rows}.values()))
    return tmp_path / "study"


def test_page_and_laws_stand_beside_the_records(study_dir):
    path = build_report(study_dir)
    assert path == study_dir / "report.html"
    assert "At equal state power-2 has the lowest loss" in path.read_text()
    laws = json.loads((study_dir / "laws.json").read_text())
    assert (laws["format"], laws["study"]) == (1, "state-scaling")
    assert {law["group"]["family"] for law in laws["laws"]} == {"power-2", "taylor-2", "linear", "window"}


def test_the_same_records_give_the_same_bytes(study_dir):
    names = ("report.html", "laws.json")
    build_report(study_dir)
    first = [(study_dir / name).read_bytes() for name in names]
    build_report(study_dir)
    assert [(study_dir / name).read_bytes() for name in names] == first


def test_records_moved_elsewhere_give_the_same_page(study_dir, tmp_path):
    first = build_report(study_dir).read_bytes()
    moved = study_dir.rename(tmp_path / "elsewhere")
    assert build_report(moved).read_bytes() == first


def test_nothing_half_written_is_left_when_drawing_fails(study_dir, monkeypatch):
    before = build_report(study_dir).read_bytes()
    laws = (study_dir / "laws.json").read_bytes()

    def full_disk(*_args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("isostate.records.durable.os.replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        build_report(study_dir)
    assert (study_dir / "report.html").read_bytes() == before
    assert (study_dir / "laws.json").read_bytes() == laws
    assert not list(study_dir.glob(".*tmp*"))


def test_a_folder_without_a_study_is_refused_in_one_line(tmp_path):
    with pytest.raises(UserError, match=r"no study\.json.*isostate run") as refused:
        build_report(tmp_path)
    assert "\n" not in str(refused.value)


def test_a_study_that_has_not_begun_has_its_page(tmp_path):
    studies.write(tmp_path / "new", studies.STUDY, [])
    assert "no answer yet" in build_report(tmp_path / "new").read_text()
