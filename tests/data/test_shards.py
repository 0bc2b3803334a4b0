"""Shards on disk: what they hold, and that any damage to any file is noticed and named on opening."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

from isostate.config import UserError
from isostate.data import DataConfig, open_shards, prepare
from isostate.data.shards import index_bytes

FILES = [
    "shards.json",
    "train.tokens.u16",
    "train.offsets.i64",
    "train.names.jsonl",
    "heldout.tokens.u16",
    "heldout.offsets.i64",
    "heldout.names.jsonl",
    "tokenizer.json",
]
TEXTS = {f"{i:02}.txt": f"This is the text of number {i}, naïve as it is.\n" * (i + 1) for i in range(20)}


@pytest.fixture(scope="module", params=["bytes", "bpe-280"])
def shards(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("shards")
    (root / "texts").mkdir()
    for name, text in TEXTS.items():
        (root / "texts" / name).write_text(text)
    return prepare(DataConfig(corpus=str(root / "texts"), tokenizer=request.param, context=16), root / "cache")


def test_each_document_is_a_boundary_and_its_tokens(shards):
    found = {}
    for name in ("train", "heldout"):
        side = shards.split(name)
        assert side.offsets[0] == 0
        assert side.offsets[-1] == len(side.tokens)
        for document, start, end in zip(shards.document_names(name), side.offsets[:-1], side.offsets[1:], strict=True):
            assert side.tokens[start] == 0
            assert 0 not in side.tokens[start + 1 : end]
            assert document not in found
            found[document] = shards.tokenizer.decode(side.tokens[start:end])
    assert found == TEXTS


def test_bytes_of_tokens_are_the_bytes_of_the_corpus_and_one_a_boundary(shards):
    """So that bits per byte compare: whatever the tokenizer, the same text counts the same bytes."""
    counted = sum(int(shards.token_bytes[shards.split(name).tokens].sum()) for name in ("train", "heldout"))
    assert counted == sum(len(text.encode()) for text in TEXTS.values()) + len(TEXTS)
    recorded = shards.index["facts"]["splits"]
    assert sum(side["bytes"] for side in recorded.values()) == counted - len(TEXTS)
    assert {name: side["tokens"] for name, side in recorded.items()} == {
        name: len(shards.split(name).tokens) for name in ("train", "heldout")
    }


def test_the_held_out_documents_do_not_depend_on_the_tokenizer(shards):
    assert shards.document_names("heldout") == ["00.txt", "18.txt"]


def test_tokens_are_mapped_not_read_and_cannot_be_written(shards):
    tokens = shards.split("train").tokens
    assert isinstance(tokens, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        tokens[0] = 1


def test_opened_again_they_are_the_same(shards):
    again = open_shards(shards.directory)
    assert again.index == shards.index
    assert again.vocab_size == shards.vocab_size
    assert np.array_equal(again.split("train").tokens, shards.split("train").tokens)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "truncated", "longer", "missing"])
def test_damage_to_any_file_is_noticed_and_named(shards, name, damage, tmp_path):
    directory = tmp_path / "copy"
    shutil.copytree(shards.directory, directory)
    if not (directory / name).exists():
        assert (name, shards.tokenizer.name) == ("tokenizer.json", "bytes")
        return
    raw = bytearray((directory / name).read_bytes())
    if damage == "flipped":
        raw[len(raw) // 2] ^= 1
    (directory / name).write_bytes({"truncated": raw[:-1], "longer": raw + b"x"}.get(damage, raw))
    if damage == "missing":
        (directory / name).unlink()
    if (name, damage) == ("shards.json", "truncated"):
        open_shards(directory)  # only the last newline is gone: nothing is lost
        return
    with pytest.raises(UserError, match=f"damaged: {name}.*; delete that folder"):
        open_shards(directory)


def test_any_bit_of_the_index_counts(shards, tmp_path):
    directory = tmp_path / "copy"
    shutil.copytree(shards.directory, directory)
    raw = (directory / "shards.json").read_bytes()
    for place in range(0, len(raw) - 1, 7):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 8
        (directory / "shards.json").write_bytes(changed)
        if chr(raw[place]).isspace() and chr(changed[place]).isspace():
            continue
        with pytest.raises(UserError, match="damaged"):
            open_shards(directory)


def test_shards_of_another_format_are_refused(shards, tmp_path):
    directory = tmp_path / "copy"
    shutil.copytree(shards.directory, directory)
    index = json.loads((directory / "shards.json").read_bytes())
    newer = index_bytes({**index["recipe"], "format": 2}, index["facts"], index["files"])
    (directory / "shards.json").write_bytes(newer)
    with pytest.raises(UserError, match="format 2, this isostate reads 1"):
        open_shards(directory)
