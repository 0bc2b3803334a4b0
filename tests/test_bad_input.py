"""What users get wrong: exit code 2, one line on stderr that teaches, no traceback, nothing half-written."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isostate.cli import main
from isostate.records import RunDirectory
from isostate.study.grid import expand
from isostate.study.plan import prepare_data
from tests.study import tiny

WINDOW = [{"mixer": "window", "window": 4}]

# name: (what the study says instead, words of the line)
IN_THE_FILE: dict[str, tuple[dict[str, Any], str]] = {
    "unknown key": ({"train": {"stepz": 10}}, "unknown key 'train.stepz' (did you mean \"steps\"?)"),
    "unknown table": ({"modell": 1}, "unknown key 'modell' (did you mean \"model\"?)"),
    "missing table": ({"train": None}, "missing key 'train'; add it"),
    "wrong type": ({"train": {"steps": "many"}}, 'train.steps = "many": input should be a valid integer'),
    "impossible head split": (
        {"model": {"n_heads": 3}, "sweep": WINDOW},
        "n_heads = 3: must divide d_model = 16; or give head_dim too",
    ),
    "odd power with the sum normaliser": ({"sweep": [{"mixer": "power", "degree": 3}]}, "take an even degree"),
    "window of 0": ({"sweep": [{"mixer": "window", "window": 0}]}, "window = 0: must be at least 1"),
    "state that nobody can match": ({"sweep": [{"mixer": "window", "state_size": 10**9}]}, "out of reach of window"),
    "state of a mixer without a knob": ({"sweep": [{"mixer": "softmax", "state_size": 64}]}, "no key of its own"),
    "negative state": ({"sweep": [{"mixer": "window", "state_size": -5}]}, "state_size = -5: must be a whole number"),
    "unknown mixer": ({"sweep": [{"mixer": "powr"}]}, 'no such mixer (did you mean "power"?)'),
    "unknown key of a mixer": ({"sweep": [{"mixer": "power", "degre": 2}]}, 'did you mean "degree"'),
    "unknown positions": ({"model": {"positions": "alibee"}}, "positions = \"alibee\""),
    "unknown law": ({"fit": [{"law": "stat"}]}, 'state-context, state-params (did you mean "state"?)'),
    "unknown schedule": ({"train": {"schedule": "cosin"}}, 'did you mean "cosine"'),
    "unknown tokenizer": ({"data": {"tokenizer": "bpe1024"}}, 'unknown tokenizer "bpe1024" (did you mean "bpe-1024"?)'),
    "unknown corpus": ({"data": {"corpus": "brad"}}, 'did you mean "bard"'),
    "vocabulary beyond the text": ({"data": {"tokenizer": "bpe-60000"}}, "has pairs enough for"),
    "zero steps": ({"train": {"steps": 0}}, "train.steps = 0: input should be greater than or equal to 1"),
    "negative rate": ({"train": {"lr": -1.0}}, "train.lr = -1.0: input should be greater than 0"),
    "threads 0": ({"train": {"threads": 0}}, "train.threads = 0"),
    "more warm-up than updates": ({"train": {"warmup_steps": 11}}, "more than steps = 10; lower it"),
    "batch that holds no windows": ({"train": {"batch_tokens": 40}}, "train.batch_tokens = 40: cannot hold windows"),
    "no context": ({"data": {"context": []}}, "data.context"),
    "context 0": ({"data": {"context": 0}}, "context = 0: must be at least 1"),
    "context beyond the text": (
        {"data": {"context": 90_000}, "train": {"batch_tokens": 90_000}},
        "use a context of at most",
    ),
    "evaluation beyond the text": (
        {"eval": {"contexts": [90_000], "n_tokens": 90_000, "final_tokens": 90_000}},
        "context 90000: the heldout split is too short",
    ),
    "no window fits the evaluation": ({"eval": {"contexts": [128]}}, "no window of 128 tokens fits; raise it"),
    "negative holdout": ({"data": {"holdout": -0.1}}, "data.holdout = -0.1: input should be greater than 0"),
    "equal seeds": ({"seeds": [0, 0]}, "0 stands there twice; name each once"),
    "no sweep": ({"sweep": None}, "missing key 'sweep'; add it"),
    "no folder's name": ({"name": "../../etc"}, 'name = "../../etc"'),
    "parameters that cannot match": (
        {"model": {"match_params": True, "d_ff": 1}, "sweep": [{**WINDOW[0], "n_heads": 2, "head_dim": 64}]},
        "match_params: window comes no nearer than",
    ),
}  # fmt: skip

# name: (what is done to the corpus folder, words)
IN_THE_TEXT: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "no such file or folder"),
    "empty file": (lambda folder: (folder / "a.txt").write_bytes(b""), "the file is empty"),
    "binary": (lambda folder: (folder / "a.txt").write_bytes(b"\x7fELF\0\0"), "a NUL at byte 4, so it is binary"),
    "not UTF-8": (lambda folder: (folder / "a.txt").write_bytes(b"caf\xe9 " * 900), "not UTF-8 at byte 3"),
    "no text files": (lambda folder: [path.rename(path.with_suffix(".md")) for path in folder.iterdir()], "no text"),
    "not gzip": (lambda folder: (folder / "a.txt.gz").write_bytes(b"plain"), "not a whole gzip file"),
    "not JSON lines": (lambda folder: (folder / "a.jsonl").write_text("plain\n"), "line 1: not JSON"),
}

# name: (arguments, words); STUDY stands for a good study file
IN_THE_COMMAND: dict[str, tuple[list[str], str]] = {
    "unknown verb": (["rnu", "STUDY"], "No such command 'rnu'. Did you mean 'run'?"),
    "unknown option": (["run", "STUDY", "--jbos", "2"], "No such option: --jbos"),
    "no study": (["run"], "Missing argument"),
    "missing file": (["run", "none.toml"], "no file none.toml; give the path of a study file"),
    "folder for a file": (["plan", "."], "is a folder; give the path of a study file inside it"),
    "jobs 0": (["run", "STUDY", "--jobs", "0"], "--jobs 0: must be at least 1"),
    "jobs many": (["run", "STUDY", "--jobs", "many"], "Invalid value for '--jobs'"),
    "NaN for a rate": (["run", "STUDY", "--set", "train.lr=nan"], "train.lr = NaN"),
    "set without a value": (["run", "STUDY", "--set", "train.steps"], "expected path=value"),
    "set of an unknown key": (["plan", "STUDY", "--set", "train.step=5"], 'did you mean "steps"'),
    "report before any run": (["report", "tiny"], "no records of tiny in runs; run it first"),
    "status before any run": (["status", "STUDY"], "run it first"),
}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty folder to be in, a corpus in it."""
    monkeypatch.chdir(tmp_path)
    tiny.corpus(tmp_path / "text")
    return tmp_path


def refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture) -> None:
    """The command is refused as a user's mistake should be."""
    code = main(arguments)
    captured = capsys.readouterr()
    assert code == 2, captured
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert captured.err.endswith("\n")
    assert words in captured.err
    assert "Traceback" not in captured.err


def nothing_half_written(folder: Path) -> None:
    """No folder of records, no partial data."""
    left = [path for path in folder.rglob("*") if "tmp-" in path.name or path.name.endswith(".partial")]
    assert left == []
    assert [path for path in folder.glob("runs/*") if path.name != ".cache"] == []


@pytest.mark.parametrize("change, words", IN_THE_FILE.values(), ids=IN_THE_FILE)
def test_a_mistake_in_the_file(change, words, here, capsys):
    study = tiny.values("text", **change)
    refused(["run", str(tiny.write(here / "tiny.toml", study))], words, capsys)
    nothing_half_written(here)


@pytest.mark.parametrize("damage, words", IN_THE_TEXT.values(), ids=IN_THE_TEXT)
def test_a_mistake_in_the_text(damage, words, here, capsys):
    damage(here / "text")
    refused(["run", str(tiny.write(here / "tiny.toml", tiny.values("text")))], words, capsys)
    nothing_half_written(here)


@pytest.mark.parametrize("arguments, words", IN_THE_COMMAND.values(), ids=IN_THE_COMMAND)
def test_a_mistake_in_the_command(arguments, words, here, capsys):
    study = str(tiny.write(here / "tiny.toml", tiny.values("text")))
    refused([study if argument == "STUDY" else argument for argument in arguments], words, capsys)
    nothing_half_written(here)


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"[data\n"], ids=["no value", "UTF-16", "open bracket"])
def test_a_file_that_is_no_toml(content, here, capsys):
    (here / "tiny.toml").write_bytes(content)
    refused(["run", "tiny.toml"], "tiny.toml: not ", capsys)


def test_a_date_or_a_nan_where_numbers_belong(here, capsys):
    text = tiny.write(here / "tiny.toml", tiny.values("text")).read_text()
    (here / "tiny.toml").write_text(text.replace("lr = 0.01", "lr = nan"))
    refused(["run", "tiny.toml"], "train.lr = NaN: input should be a finite number", capsys)
    (here / "tiny.toml").write_text(text.replace("lr = 0.01", "lr = 2026-01-01"))
    refused(["run", "tiny.toml"], "train.lr", capsys)
    nothing_half_written(here)


def planned_run(here: Path) -> RunDirectory:
    """The directory that the first run of the tiny study will have."""
    study = tiny.study("text")
    data = prepare_data(study, here / "runs" / ".cache" / "data")
    cell = expand(study, "", {name: text.fingerprint for name, text in data.items()})[0][0]
    return RunDirectory(here / "runs" / "tiny" / cell.run_id).create(cell.config.to_dict())


@pytest.mark.parametrize("change, words", [("newer", "of format 2"), ("foreign", "foreign run directory")])
def test_a_foreign_or_newer_run_directory(change, words, here, capsys):
    study = str(tiny.write(here / "tiny.toml", tiny.values("text")))
    run = planned_run(here)
    if change == "newer":
        (run.path / "FORMAT").write_text("2\n")
    else:
        (run.path / "config.json").write_text(json.dumps({"another": "program's"}))
    refused(["run", study, "--jobs", "1"], words, capsys)


def test_a_file_in_the_place_of_a_folder(here, capsys):
    study = str(tiny.write(here / "tiny.toml", tiny.values("text")))
    (here / "file").write_text("")
    refused(["run", study, "--runs", "file"], "file", capsys)
    (here / "runs").mkdir()
    (here / "runs" / "tiny").write_text("")
    refused(["run", study], "a file stands where a folder must be", capsys)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere; as root see the read-only mount below")
def test_a_read_only_folder(here, capsys):
    study = str(tiny.write(here / "tiny.toml", tiny.values("text")))
    (here / "runs").mkdir(mode=0o555)
    refused(["run", study], "can be written", capsys)


@pytest.fixture
def mounted(here):
    """mounted(options) -> a small file system of its own at runs/; skipped where mounting is not allowed."""
    folder = here / "runs"
    folder.mkdir()

    def mount(options: str) -> Path:
        command = ["mount", "-t", "tmpfs", "-o", options, "isostate-test", str(folder)]
        if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no right to mount a file system here")
        return folder

    yield mount
    if os.path.ismount(folder):
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_read_only_file_system(here, mounted, capsys):
    study = str(tiny.write(here / "tiny.toml", tiny.values("text")))
    mounted("ro")
    refused(["run", study], "can be written", capsys)


@pytest.mark.slow
def test_a_full_disk_ends_the_study_and_more_space_finishes_it(here, mounted, capsys):
    mounted("size=420k")
    model = {"n_layers": 1, "d_model": 64}  # a checkpoint of it is larger than what is left
    study = str(tiny.write(here / "tiny.toml", tiny.values("text", model=model, sweep=WINDOW)))
    refused(["run", study, "--jobs", "1"], "no space left on device; free some space", capsys)
    subprocess.run(["mount", "-o", "remount,size=64m", str(here / "runs")], check=True)
    assert main(["run", study, "--jobs", "1"]) == 0


@pytest.mark.slow
def test_files_beyond_the_limit_end_the_study(here):
    # Without the right to mount, this is how a full disk looks to us: a write that comes back short, then an error.
    study = tiny.write(here / "tiny.toml", tiny.values("text", model={"n_layers": 1, "d_model": 64}, sweep=WINDOW))
    limit = 200_000

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [sys.executable, "-c", "import sys; from isostate.cli import main; sys.exit(main())", "run", str(study)]
    done = subprocess.run(
        command, cwd=here, preexec_fn=limited, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 2, done
    assert done.stderr.count("\n") == 1
    assert "file too large; raise the limit on file sizes" in done.stderr
    assert list((here / "runs" / "tiny").glob("*/checkpoints/step-*")) == []
