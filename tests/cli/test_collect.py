"""`isostate collect`, and `isostate run` where records are committed: nothing is trained that they hold."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from isostate.cli import main
from isostate.records import table


@pytest.fixture
def clone(finished, capsys):
    """A finished study collected, then as a fresh clone has it: no runs, and no text either."""
    assert main(["collect", "tiny.toml", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "records": "records/tiny.jsonl", "n_records": 3, "n_missing": 0,
        "bytes": (finished / "records" / "tiny.jsonl").stat().st_size,
    }  # fmt: skip
    shutil.move(finished / "runs", finished / "first")
    shutil.move(finished / "text", finished / "elsewhere")
    return finished


def trained(told: str) -> list[str]:
    events = [json.loads(line) for line in told.splitlines()]
    return [event["run_id"] for event in events if event["event"] == "start"]


def losses(study_dir):
    return {row["run_id"]: row["final"] for row in table(study_dir)}


def test_a_fresh_clone_trains_nothing_reads_no_text_and_needs_no_torch(clone, capsys):
    code = "import sys; from isostate.cli import main; code = main(['run', 'tiny.toml']); sys.exit(code or 9 * ('torch' in sys.modules))"  # noqa: E501
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stderr
    assert "nothing to train: 3 records of records/tiny.jsonl, every hash verified" in done.stdout
    assert losses(clone / "runs" / "tiny") == losses(clone / "first" / "tiny")
    assert (clone / "runs" / "tiny" / "report.html").is_file()
    assert main(["status", "tiny.toml", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"done": 3}


def test_the_plan_of_a_fresh_clone_counts_what_the_records_hold_as_finished(clone, capsys):
    assert main(["plan", "tiny.toml", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [row["status"] for row in answer["runs"]] == ["done"] * 3
    assert answer["total_s"] == 0.0
    assert not (clone / "runs" / "tiny").exists()
    path = clone / "records" / "tiny.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    assert main(["plan", "tiny.toml"]) == 0
    assert "1 run to train of 3" in capsys.readouterr().out


def test_collected_again_from_what_was_restored_the_file_is_the_same(clone, capsys):
    before = (clone / "records" / "tiny.jsonl").read_bytes()
    assert main(["run", "tiny.toml"]) == 0
    assert main(["collect", "tiny.toml"]) == 0
    assert (clone / "records" / "tiny.jsonl").read_bytes() == before
    assert "records/tiny.jsonl: 3 records, " in capsys.readouterr().out


@pytest.mark.slow
def test_only_what_is_missing_is_trained_and_ends_as_the_first_time(clone, capsys):
    path = clone / "records" / "tiny.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert main(["run", "tiny.toml"]) == 2
    assert "no such file or folder" in capsys.readouterr().err  # the text is needed again
    shutil.copytree(clone / "elsewhere", clone / "text")
    assert main(["run", "tiny.toml", "--json"]) == 0
    assert trained(capsys.readouterr().out) == [json.loads(lines[2])["run_id"]]
    assert losses(clone / "runs" / "tiny") == losses(clone / "first" / "tiny")
    assert main(["collect", "tiny.toml"]) == 0
    again = path.read_bytes().splitlines(keepends=True)
    assert again[:2] + again[3:] == lines[:2] + lines[3:]
    for name in ("result", "train", "eval", "metrics_sha256", "weights_sha256"):
        assert json.loads(again[2])[name] == json.loads(lines[2])[name]


def test_another_text_is_not_mixed_with_the_records(clone, capsys):
    path = clone / "records" / "tiny.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))
    shutil.copytree(clone / "elsewhere", clone / "text")
    (clone / "text" / "a.txt").write_text("another " * 400)
    assert main(["run", "tiny.toml"]) == 2
    assert "is not what this run was planned with" in capsys.readouterr().err


def test_a_part_of_the_study_takes_its_records_too(clone, capsys):
    assert main(["run", "tiny.toml", "--json", "--set", 'sweep=[{mixer="power", head_dim=4}]']) == 0
    told = capsys.readouterr().out
    assert trained(told) == []
    assert "1 of 1 runs are from the records in records, every hash verified" in told
    assert len(table(clone / "runs" / "tiny")) == 1


def test_an_altered_record_is_refused(clone, capsys):
    path = clone / "records" / "tiny.jsonl"
    content = path.read_bytes()
    place = content.rindex(b'"loss_nats":') + 14
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    assert main(["run", "tiny.toml"]) == 2
    told = capsys.readouterr().err
    assert "records/tiny.jsonl, line 4: " in told
    assert told.count("\n") == 1
    assert not (clone / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["collect", "none.toml"], "no file none.toml"),
        (["collect", "tiny.toml", "--runs", "nowhere"], "nowhere/tiny holds no plan of this version; run it"),
        (["collect", "tiny.toml", "--set", "seeds=[3]"], "was run from other values than tiny.toml has now"),
    ],
)
def test_mistakes_are_one_line(arguments, words, finished, capsys):
    assert main(arguments) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
