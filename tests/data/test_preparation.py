"""Preparation: once, whole or not at all, one at a time, and true to its fingerprint."""

from __future__ import annotations

import errno
import importlib.metadata
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from isostate.config import UserError
from isostate.data import DataConfig, open_shards, prepare, resolve
from isostate.data.shards import SPLITS

PREPARE = """
import sys, time
from pathlib import Path
from isostate.data import DataConfig, prepare
def progress(stage, share):
    print(stage, flush=True)
    time.sleep(float(sys.argv[3]))
shards = prepare(DataConfig(corpus=sys.argv[1], context=8), Path(sys.argv[2]), progress)
print("opened", shards.fingerprint, flush=True)
"""


@pytest.fixture
def texts(tmp_path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    for index in range(20):
        (folder / f"{index:02}.txt").write_text(f"Document {index} says hello.\n" * 5)
    return folder


@pytest.fixture
def config(texts) -> DataConfig:
    return DataConfig(corpus=str(texts), context=8)


def start(texts: Path, cache: Path, pause_s: float) -> subprocess.Popen:
    command = [sys.executable, "-c", PREPARE, str(texts), str(cache), str(pause_s)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finished(cache: Path) -> list[str]:
    return [name for name in os.listdir(cache) if not name.startswith(".")]


def test_a_second_time_it_only_opens(config, tmp_path):
    stages: list[str] = []
    first = prepare(config, tmp_path / "cache", lambda stage, share: stages.append(stage))
    assert {"read", "tokenise"} == set(stages)
    stages.clear()
    second = prepare(config, tmp_path / "cache", lambda stage, share: stages.append(stage))
    assert not stages
    assert second.directory == first.directory == tmp_path / "cache" / first.fingerprint[:16]
    assert finished(tmp_path / "cache") == [first.fingerprint[:16]]


def test_progress_goes_from_nothing_to_all(config, tmp_path):
    shares: list[float] = []
    prepare(config.model_copy(update={"tokenizer": "bpe-260"}), tmp_path, lambda stage, share: shares.append(share))
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)


def test_it_prints_nothing(config, tmp_path, capfd):
    prepare(config.model_copy(update={"tokenizer": "bpe-260"}), tmp_path / "cache")
    assert capfd.readouterr() == ("", "")


def test_the_fingerprint_covers_text_tokenizer_and_holdout_but_not_windows(config, texts):
    first = resolve(config)
    assert resolve(first) == first

    def other(**changes) -> str:
        return resolve(config.model_copy(update=changes)).fingerprint

    assert other(context=9, documents="stream") == first.fingerprint
    made = [first.fingerprint, other(tokenizer="bpe-260"), other(tokenizer="bpe-261"), other(holdout=0.2)]
    (texts / "00.txt").write_text("changed")
    assert len({*made, other()}) == 5


def test_the_fingerprint_covers_the_library_that_learns_the_merges(config, monkeypatch):
    def fingerprints() -> list[str]:
        return [resolve(config.model_copy(update={"tokenizer": name})).fingerprint for name in ("bytes", "bpe-260")]

    in_bytes, in_bpe = fingerprints()
    monkeypatch.setattr(importlib.metadata, "version", lambda package: f"{package} 999")
    assert fingerprints()[0] == in_bytes
    assert fingerprints()[1] != in_bpe


def test_shards_of_a_fingerprint_open_without_the_corpus(config, texts, tmp_path):
    planned = resolve(config)
    prepare(planned, tmp_path / "cache")
    for path in texts.iterdir():
        path.unlink()
    assert prepare(planned, tmp_path / "cache").fingerprint == planned.fingerprint


def test_a_corpus_that_changed_since_it_was_planned_is_refused(config, texts, tmp_path):
    planned = resolve(config)
    (texts / "00.txt").write_text("changed")
    with pytest.raises(UserError, match="is not what this run was planned with"):
        prepare(planned, tmp_path / "cache")
    with pytest.raises(UserError, match="is not what this run was planned with"):
        resolve(planned)


def test_a_fingerprint_with_another_config_is_refused(config, tmp_path):
    planned = resolve(config)
    prepare(planned, tmp_path)
    for changes in ({"tokenizer": "bpe-260"}, {"holdout": 0.2}):
        with pytest.raises(UserError, match="is of another config"):
            prepare(planned.model_copy(update=changes), tmp_path)


def test_a_killed_preparation_leaves_nothing_that_looks_finished(config, texts, tmp_path):
    cache = tmp_path / "cache"
    process = start(texts, cache, 0.05)
    assert process.stdout is not None
    for line in process.stdout:
        if line == "tokenise\n":
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert any(name.endswith(".partial") for name in os.listdir(cache))
    assert finished(cache) == []
    shards = prepare(config, cache)
    assert finished(cache) == [shards.fingerprint[:16]]
    assert not [name for name in os.listdir(cache) if name.endswith(".partial")]


def test_shards_get_their_name_only_when_they_are_whole(config, tmp_path, monkeypatch):
    renamed = []

    def rename(source: Path, target: Path) -> None:
        renamed.append(open_shards(source).fingerprint[:16])
        assert not target.exists()
        source.replace(target)

    monkeypatch.setattr(os, "rename", rename)
    prepare(config, tmp_path / "cache")
    assert renamed == finished(tmp_path / "cache")


def test_two_processes_at_once_make_it_once_and_both_open_it(config, texts, tmp_path):
    cache = tmp_path / "cache"
    processes = [start(texts, cache, 0.02) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    fingerprint = resolve(config).fingerprint
    assert [output[-1] for output in outputs] == [f"opened {fingerprint}"] * 2
    assert sorted("tokenise" in output for output in outputs) == [False, True]
    assert finished(cache) == [fingerprint[:16]]


def test_a_bad_document_leaves_nothing_behind(config, texts, tmp_path):
    (texts / "19.txt").write_bytes(b"caf\xe9")
    with pytest.raises(UserError, match=r"19\.txt: not UTF-8 at byte 3"):
        prepare(config, tmp_path / "cache")
    assert not [name for name in os.listdir(tmp_path / "cache") if not name.endswith(".lock")]


def test_damaged_shards_are_refused_not_used(config, tmp_path):
    shards = prepare(config, tmp_path)
    path = shards.directory / "heldout.tokens.u16"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UserError, match=r"damaged: heldout\.tokens\.u16: \d+ bytes, not \d+; delete that folder"):
        prepare(config, tmp_path)


def test_a_full_disk_is_one_line_and_leaves_nothing(config, tmp_path, monkeypatch):
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"cannot write prepared data to .*: No space left on device; free space"):
        prepare(config, tmp_path / "cache")
    assert finished(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_a_folder_is_one_line(config, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write prepared data to"):
        prepare(config, tmp_path / "file" / "cache")


@pytest.mark.parametrize("documents, longest", [("whole", "its longest document has"), ("stream", "all of it has")])
def test_a_corpus_shorter_than_the_context_is_refused(texts, tmp_path, documents, longest):
    config = DataConfig(corpus=str(texts), context=100_000, documents=documents)
    with pytest.raises(UserError, match=f"context 100000: the train split is too short, {longest}"):
        prepare(config, tmp_path)


def test_one_file_is_enough(tmp_path):
    (tmp_path / "input.txt").write_text("".join(f"Line {i} of the only file.\n" for i in range(400)))
    shards = prepare(DataConfig(corpus=str(tmp_path / "input.txt"), context=64), tmp_path / "cache")
    assert [shards.document_names(split) for split in SPLITS] == [["input.txt"], ["input.txt (end)"]]
    assert shards.tokenizer.decode(shards.split("heldout").tokens).startswith("Line 36")


def test_bpe_learns_from_the_training_split_only(config, texts, tmp_path):
    config = config.model_copy(update={"tokenizer": "bpe-280"})
    first = prepare(config, tmp_path)
    for name in first.document_names("heldout"):
        (texts / name).write_text("zy " * ((texts / name).stat().st_size // 3))  # the commonest pair of all
    second = prepare(config, tmp_path)
    assert first.fingerprint != second.fingerprint
    assert first.document_names("heldout") == second.document_names("heldout")
    assert first.tokenizer.pieces == second.tokenizer.pieces
    assert not np.array_equal(first.split("heldout").tokens, second.split("heldout").tokens)


def test_the_bundled_corpus_opens_fast(tmp_path):
    config = DataConfig(context=1_024)
    shards = prepare(config, tmp_path)
    assert shards.index["facts"]["splits"]["heldout"]["documents"] == 5
    best_s = min(_seconds(lambda: prepare(config, tmp_path)) for _ in range(3))
    assert best_s < 0.3


def _seconds(call) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def test_importing_data_imports_neither_torch_nor_tokenizers():
    program = "import sys, isostate.data; print({'torch', 'tokenizers'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True).stdout == "set()\n"
