"""Prepared tokens on disk: memory-mapped, and checked against their hashes whenever they are opened.

    <cache>/<first 16 of the fingerprint>/
      train.tokens.u16, heldout.tokens.u16      little-endian uint16; each document as [0] + its tokens, end to end
      train.offsets.i64, heldout.offsets.i64    where documents start, and the end of the last: documents + 1 numbers
      train.names.jsonl, heldout.names.jsonl    the documents' names, a JSON string a line
      heldout.lags.u32                          recall only: how long ago the fact of an answer began; of others 0
      tokenizer.json                            BPE only; the Hugging Face format
      shards.json                               last: what made them, and SHA-256 and size of every other file

The fingerprint is the SHA-256 of `recipe`: the corpus's identity, the tokenizer, the held-out share, the format.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from isostate.config import UserError, canonical_json
from isostate.data.holdout import SplitName
from isostate.data.tokenizers import BpeTokenizer, ByteTokenizer, Tokenizer

FORMAT = 1
SPLITS: tuple[SplitName, ...] = ("train", "heldout")
INDEX = "shards.json"
TOKENIZER = "tokenizer.json"
LAGS = "heldout.lags.u32"


@dataclass(frozen=True, eq=False)
class Split:
    """One side of the corpus: `tokens` (n_tokens,) uint16, `offsets` (n_documents + 1,) int64."""

    name: SplitName
    tokens: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True, eq=False)
class Shards:
    """A prepared corpus. `index` is the whole of shards.json."""

    directory: Path
    index: dict[str, Any]
    splits: dict[SplitName, Split]

    @property
    def fingerprint(self) -> str:
        return self.index["fingerprint"]

    @property
    def n_symbols(self) -> int:
        """Ids beyond the tokenizer's: of recall, and the filler of a dilution."""
        return self.index["recipe"].get("symbols", 0)

    @property
    def vocab_size(self) -> int:
        return self.tokenizer.vocab_size + self.n_symbols

    @property
    def token_bytes(self) -> np.ndarray:
        """(vocab_size,) int64: the bytes each token stands for, 1 for the boundary and for symbols."""
        return np.concatenate([self.tokenizer.token_bytes, np.ones(self.n_symbols, dtype=np.int64)])

    @cached_property
    def lags(self) -> np.ndarray | None:
        """Of the held-out tokens, (n_tokens,) uint32; None for a corpus without recall."""
        path = self.directory / LAGS
        return np.memmap(path, dtype="<u4", mode="r") if path.name in self.index["files"] else None

    def split(self, name: SplitName) -> Split:
        return self.splits[name]

    def document_names(self, name: SplitName) -> list[str]:
        lines = (self.directory / f"{name}.names.jsonl").read_text(encoding="ascii").splitlines()
        return [json.loads(line) for line in lines]

    @cached_property
    def tokenizer(self) -> Tokenizer:
        if self.index["recipe"]["tokenizer"] == "bytes":
            return ByteTokenizer()
        return BpeTokenizer((self.directory / TOKENIZER).read_text(encoding="utf-8"))


def open_shards(directory: Path) -> Shards:
    """Opens prepared shards. Raises UserError naming every file that is missing, cut or changed."""
    index = _read_index(directory)
    problems = [
        problem for name, facts in sorted(index["files"].items()) if (problem := _check(directory / name, facts))
    ]
    if problems:
        raise _damaged(directory, "; ".join(problems))
    splits: dict[SplitName, Split] = {}
    for name in SPLITS:
        tokens = np.memmap(directory / f"{name}.tokens.u16", dtype="<u2", mode="r")
        offsets = np.fromfile(directory / f"{name}.offsets.i64", dtype="<i8")
        splits[name] = Split(name, tokens, offsets)
    return Shards(directory, index, splits)


def fingerprint_of(recipe: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(recipe).encode()).hexdigest()


def index_bytes(recipe: dict[str, Any], facts: dict[str, Any], files: dict[str, dict[str, Any]]) -> bytes:
    """The text of shards.json; it carries a hash of itself."""
    index = {"fingerprint": fingerprint_of(recipe), "recipe": recipe, "facts": facts, "files": files}
    return json.dumps({**index, "sha256": _hash_of(index)}, indent=1, sort_keys=True).encode("ascii") + b"\n"


def _read_index(directory: Path) -> dict[str, Any]:
    try:
        index = json.loads((directory / INDEX).read_bytes())
    except FileNotFoundError:
        raise _damaged(directory, f"{INDEX} is missing") from None
    except OSError as error:
        raise _damaged(directory, f"{INDEX} cannot be read ({error.strerror})") from None
    except ValueError:  # not JSON, or not UTF-8
        raise _damaged(directory, f"{INDEX} is not JSON") from None
    body = {key: value for key, value in index.items() if key != "sha256"} if isinstance(index, dict) else {}
    if not body or index.get("sha256") != _hash_of(body):
        raise _damaged(directory, f"{INDEX}: SHA-256 differs")
    if index["recipe"]["format"] != FORMAT:
        raise _damaged(directory, f"format {index['recipe']['format']}, this isostate reads {FORMAT}")
    if index["fingerprint"] != fingerprint_of(index["recipe"]):
        raise _damaged(directory, f"{INDEX}: the fingerprint is not the recipe's")
    return index


def _check(path: Path, facts: dict[str, Any]) -> str:
    """What is wrong with a file, or ''."""
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size != facts["bytes"]:
                return f"{path.name}: {size} bytes, not {facts['bytes']}"
            return (
                ""
                if hashlib.file_digest(file, "sha256").hexdigest() == facts["sha256"]
                else f"{path.name}: SHA-256 differs"
            )
    except FileNotFoundError:
        return f"{path.name} is missing"
    except OSError as error:
        return f"{path.name} cannot be read ({error.strerror})"


def _hash_of(index: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(index).encode()).hexdigest()


def _damaged(directory: Path, problem: str) -> UserError:
    return UserError(
        f"prepared data {directory} is damaged: {problem}; delete that folder and run again to prepare it anew"
    )
