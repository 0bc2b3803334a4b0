"""isostate.export.folder: whole or nothing when written; what is broken is one line when read."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import save_file

from isostate.config import UserError
from isostate.export.folder import INDEX, WHOLE, Checkpoint, read_config, write_folder

TENSORS = {"a": torch.arange(6.0).reshape(2, 3).T, "b": torch.ones(4, dtype=torch.bfloat16), "c": torch.zeros(5)}


def names_in(folder):
    return sorted(path.name for path in folder.iterdir())


def test_tensors_come_back_as_float32_whatever_their_strides(tmp_path):
    assert write_folder(tmp_path / "m", {"k": 1}, TENSORS) == ["config.json", WHOLE]
    assert read_config(tmp_path / "m") == ({"k": 1}, str(tmp_path / "m" / "config.json"))
    with Checkpoint(tmp_path / "m") as checkpoint:
        assert checkpoint.names == set(TENSORS)
        for name, x in TENSORS.items():
            assert torch.equal(checkpoint.read(name), x.float())
            assert checkpoint.read(name).dtype == torch.float32


def test_shards_hold_no_more_than_asked_but_for_a_single_tensor(tmp_path):
    files = write_folder(tmp_path / "m", {}, TENSORS, shard_bytes=30)
    assert files == ["config.json", *(f"model-0000{n}-of-00002.safetensors" for n in (1, 2)), INDEX]
    index = json.loads((tmp_path / "m" / INDEX).read_text())
    assert index["metadata"] == {"total_size": 24 + 8 + 20}
    assert [index["weight_map"][name][10] for name in "abc"] == ["1", "2", "2"]
    with Checkpoint(tmp_path / "m") as checkpoint:
        assert checkpoint.names == set(TENSORS)


def test_what_is_there_is_never_written_over(tmp_path):
    (tmp_path / "kept").write_text("mine")
    with pytest.raises(UserError, match="is there already, and not empty"):
        write_folder(tmp_path, {}, TENSORS)
    with pytest.raises(UserError, match="is there already"):
        write_folder(tmp_path / "kept", {}, TENSORS)
    (tmp_path / "empty").mkdir()
    write_folder(tmp_path / "empty", {}, TENSORS)
    assert names_in(tmp_path) == ["empty", "kept"]


def test_a_write_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_folder(tmp_path / "m", {"nan": float("nan")}, TENSORS)
    assert names_in(tmp_path) == []


def write(path, content):
    path.write_text(json.dumps(content))


BROKEN = {
    "nothing": (lambda folder: None, f"neither {WHOLE} nor {INDEX}; give a whole folder"),
    "a pickle": (lambda folder: (folder / "pytest_model.bin").with_name("pytorch_model.bin").touch(), "is a pickle"),
    "no safetensors": (lambda folder: (folder / WHOLE).write_bytes(b"junk"), "not a whole safetensors file"),
    "an index of nothing": (lambda folder: write(folder / INDEX, {}), "no table weight_map"),
    "a shard that is not there": (lambda folder: write(folder / INDEX, {"weight_map": {"a": "x"}}), "no file .*x"),
    "a shard elsewhere": (
        lambda folder: write(folder / INDEX, {"weight_map": {"a": "../x"}}),
        "no file of this folder",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_one_line(name, tmp_path):
    breaks, words = BROKEN[name]
    breaks(tmp_path)
    with pytest.raises(UserError, match=words) as raised, Checkpoint(tmp_path):
        pass
    assert "\n" not in str(raised.value)


def test_missing_tensors_and_integers_are_named(tmp_path):
    save_file({"codes": torch.ones(3, dtype=torch.int8)}, tmp_path / WHOLE)
    with Checkpoint(tmp_path) as checkpoint:
        with pytest.raises(UserError, match=r"no tensor 'a', which config.json asks for"):
            checkpoint.read("a")
        with pytest.raises(UserError, match="codes holds int8; only floats are read"):
            checkpoint.read("codes")


def test_no_folder_and_no_table_are_named(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        read_config(tmp_path / "nowhere")
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(UserError, match="not a table of keys"):
        read_config(tmp_path)
