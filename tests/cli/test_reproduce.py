"""`isostate reproduce`: equal, different, and a part of a run; exit codes and words."""

from __future__ import annotations

import json

import pytest

from isostate.cli import main
from isostate.records import read_committed, run_directories, write_committed
from isostate.records.compact import sha256_of


@pytest.fixture
def committed(finished):
    """The tiny study with its records, and the name of one of its runs."""
    assert main(["collect", "tiny.toml"]) == 0
    return finished, run_directories(finished / "runs" / "tiny")[0].run_id


def alter(folder, run_id, change):
    """Another training's record under this run's name: altered, and hashed anew."""
    committed = read_committed(folder / "records" / "tiny.jsonl")
    body = {name: value for name, value in committed.records[run_id].items() if name != "sha256"}
    change(body)
    study = {name: value for name, value in committed.study.items() if name not in ("format", "sha256")}
    records = {**committed.records, run_id: {**body, "sha256": sha256_of(body)}}
    write_committed(committed.path, study, records)


def test_a_run_that_comes_out_the_same_says_so(committed, capsys):
    _, run_id = committed
    assert main(["reproduce", run_id[:7], "--study", "tiny.toml"]) == 0
    told = capsys.readouterr().out
    assert f"bit-equal: run {run_id}, 9 rows of 10 updates, the last weights and the result as in records/" in told


@pytest.mark.slow
def test_a_run_that_comes_out_different_says_where_and_in_which_environment(committed, capsys):
    folder, run_id = committed

    def change(body):
        body["train"]["loss_nats"][2] += 0.25
        body["environment"]["torch"] = "1.0"

    alter(folder, run_id, change)
    assert main(["reproduce", run_id, "--study", "tiny.toml", "--json"]) == 1
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    first = answer["first_difference"]
    assert (answer["event"], answer["equal"], first["step"], first["what"]) == ("compared", False, 6, "training loss")
    assert first["recorded"] == first["retrained"] + 0.25
    assert answer["environment"]["torch"][0] == "1.0"
    assert main(["reproduce", run_id, "--study", "tiny.toml", "--steps", "4"]) == 0
    told = capsys.readouterr().out
    assert f"bit-equal so far: run {run_id}, 2 rows of 4 updates as in records/tiny.jsonl" in told
    assert "  torch: 1.0 when it was recorded, 2." in told


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["ffff"], "no run ffff in runs; give its study"),
        (["nothing"], "'nothing' is no run"),
        (["RUN", "--steps", "99"], "--steps 99: of run"),
    ],
)
def test_mistakes_are_one_line(arguments, words, committed, capsys):
    capsys.readouterr()
    assert main(["reproduce", *[committed[1] if word == "RUN" else word for word in arguments]]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
