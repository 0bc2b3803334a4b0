"""The file of committed records: whatever byte of it is altered, it is refused in one line."""

from __future__ import annotations

import pytest

from isostate.config import UserError, digest
from isostate.records import read_committed, write_committed
from isostate.records.compact import sha256_of
from isostate.records.durable import json_bytes

STUDY = {"study_sha256": "s", "data": {}, "rates": {}, "notices": [], "settled": True}


def record(seed: int) -> dict:
    config = {"seed": seed}
    body = {"run_id": digest(config), "config": config, "result": {"loss": 1 / (seed + 3), "word": "aé"}}
    return {**body, "sha256": sha256_of(body)}


@pytest.fixture
def file(tmp_path):
    """Two of the three runs that are planned."""
    records = {one["run_id"]: one for one in (record(0), record(1))}
    planned = [*records, record(2)["run_id"]]
    write_committed(tmp_path / "records" / "study.jsonl", {**STUDY, "planned": planned}, records)
    return tmp_path / "records" / "study.jsonl"


def test_what_is_written_is_read_and_what_is_missing_is_known(file):
    committed = read_committed(file)
    assert committed.records == {one["run_id"]: one for one in (record(0), record(1))}
    assert committed.missing == [record(2)["run_id"]]
    before = file.read_bytes()
    study = {name: value for name, value in committed.study.items() if name not in ("format", "sha256")}
    write_committed(file, study, committed.records)
    assert file.read_bytes() == before


def test_every_altered_byte_is_refused_in_one_line(file):
    content = file.read_bytes()
    for place in range(len(content)):
        for altered in {content[place] ^ 1, content[place] ^ 32, ord(" ")} - {content[place]}:
            file.write_bytes(content[:place] + bytes([altered]) + content[place + 1 :])
            with pytest.raises(UserError) as refusal:
                read_committed(file)
            assert str(refusal.value).startswith(str(file))
            assert "\n" not in str(refusal.value)


def test_a_cut_file_and_a_doubled_record_are_refused(file):
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    with pytest.raises(UserError, match="its last line is cut"):
        read_committed(file)
    file.write_bytes(content + content.splitlines(keepends=True)[-1])
    with pytest.raises(UserError, match=r"line 4: run .* stands there twice"):
        read_committed(file)
    file.write_bytes(b"".join(content.splitlines(keepends=True)[1:]))
    with pytest.raises(UserError, match="line 1: no records of a study"):
        read_committed(file)


def test_a_newer_format_is_told(file):
    body = {**STUDY, "planned": [], "format": 99}
    line = {**body, "sha256": sha256_of(body)}
    file.write_bytes(json_bytes(line))
    with pytest.raises(UserError, match="format 99, this Isostate reads 1; upgrade"):
        read_committed(file)
