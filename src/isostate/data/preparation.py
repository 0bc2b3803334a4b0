"""A corpus -> shards, once: read, hold documents out, train the tokenizer on the rest, write tokens.

Whoever prepares holds a lock (flock) on the fingerprint, so a second process waits and then opens what the first made.
All is written to `.<name>.partial` and renamed when whole; what a killed process left there is thrown away by the next.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.metadata
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from isostate.config import UserError
from isostate.data.batches import check_context
from isostate.data.config import DataConfig
from isostate.data.corpora import open_corpus
from isostate.data.holdout import Holdout, assign, choose_holdout
from isostate.data.mixing import mix
from isostate.data.shards import (
    FORMAT,
    INDEX,
    LAGS,
    SPLITS,
    TOKENIZER,
    Shards,
    fingerprint_of,
    index_bytes,
    open_shards,
)
from isostate.data.textfiles import Source
from isostate.data.tokenizers import BOUNDARY, BpeTokenizer, ByteTokenizer, Tokenizer, check_tokenizer, train_bpe

Progress = Callable[[str, float], None]  # what is being done ("read", "train the tokenizer", "tokenise"), share done


def resolve(config: DataConfig) -> DataConfig:
    """`config` with its fingerprint: reads the corpus's files and hashes them. Raises UserError when they changed since
    the fingerprint was first taken."""
    return _fingerprinted(config, open_corpus(config.corpus))


def prepare(config: DataConfig, cache: Path, progress: Progress = lambda stage, share: None) -> Shards:
    """Opens the shards of `config` in `cache`, making them if they are not there. A config with a fingerprint needs the
    corpus itself only to make them. Raises UserError for a bad corpus, damaged shards, a cache that cannot be written,
    or text too short for `config.context`."""
    shards = _open_if_there(config, cache) if config.fingerprint else None
    if shards is None:
        source = open_corpus(config.corpus)
        config = _fingerprinted(config, source)
        shards = _open_if_there(config, cache) or _make(config, source, cache, progress)
    for split in SPLITS:
        check_context(shards, split, config.context, config.documents)
    return shards


def _fingerprinted(config: DataConfig, source: Source) -> DataConfig:
    fingerprint = fingerprint_of(_recipe(config, source))
    if config.fingerprint not in ("", fingerprint):
        raise UserError(
            f"corpus {config.corpus}: the text or what reads it is not what this run was planned with "
            f"(fingerprint {fingerprint[:16]}, planned {config.fingerprint[:16]}); restore it, or start a new study"
        )
    return config.model_copy(update={"fingerprint": fingerprint})


def _recipe(config: DataConfig, source: Source) -> dict[str, Any]:
    check_tokenizer(config.tokenizer)
    # Another version of the library may learn other merges: it is part of what made the tokens.
    trainer = None if config.tokenizer == "bytes" else f"tokenizers {importlib.metadata.version('tokenizers')}"
    return {
        "format": FORMAT,
        "corpus": source.identity,
        "tokenizer": config.tokenizer,
        "trainer": trainer,
        "holdout": config.holdout,
        **_mixed_in(config),
    }


def _mixed_in(config: DataConfig) -> dict[str, Any]:
    """Nothing for a corpus by itself."""
    if not config.n_symbols:
        return {}
    recall = config.recall and config.recall.to_dict()
    return {"recall": recall, "dilution": config.dilution, "symbols": config.n_symbols}


def _open_if_there(config: DataConfig, cache: Path) -> Shards | None:
    directory = cache / config.fingerprint[:16]
    if not directory.exists():
        return None
    shards = open_shards(directory)
    recipe = shards.index["recipe"]
    made_with = (shards.fingerprint, recipe["tokenizer"], recipe["holdout"], shards.n_symbols)
    if made_with != (config.fingerprint, config.tokenizer, config.holdout, config.n_symbols):
        raise UserError(f"prepared data {directory} is of another config; leave `fingerprint` out to have it filled in")
    return shards


def _make(config: DataConfig, source: Source, cache: Path, progress: Progress) -> Shards:
    name = config.fingerprint[:16]
    partial = cache / f".{name}.partial"
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _lock(cache / f".{name}.lock"):
            if (made_meanwhile := _open_if_there(config, cache)) is not None:
                return made_meanwhile
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                _write(config, source, partial, progress)
                os.rename(partial, cache / name)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            _sync(cache)
    except OSError as error:
        raise UserError(
            f"cannot write prepared data to {cache}: {error.strerror or error}; "
            f"free space, or choose a folder that can be written"
        ) from None
    return open_shards(cache / name)


def _write(config: DataConfig, source: Source, directory: Path, progress: Progress) -> None:
    progress("read", 0.0)
    names, n_bytes = [], []
    for document in source.documents():
        names.append(document.name)
        n_bytes.append(len(document.text.encode("utf-8")))
    holdout = choose_holdout(names, n_bytes, config.holdout)
    tokenizer = _tokenizer(config.tokenizer, source, holdout, progress)
    counts = _write_splits(
        config, tokenizer, source, holdout, directory, lambda done: progress("tokenise", done / sum(n_bytes))
    )
    if isinstance(tokenizer, BpeTokenizer):
        (directory / TOKENIZER).write_text(tokenizer.tokenizer_json, encoding="utf-8")
    files = {}
    for path in sorted(directory.iterdir()):
        with path.open("rb") as file:
            files[path.name] = {"bytes": path.stat().st_size, "sha256": hashlib.file_digest(file, "sha256").hexdigest()}
            os.fsync(file.fileno())
    facts = {"corpus": config.corpus, "source": source.record, "splits": counts}
    with (directory / INDEX).open("wb") as file:
        file.write(index_bytes(_recipe(config, source), facts, files))
        file.flush()
        os.fsync(file.fileno())
    _sync(directory)


def _tokenizer(name: str, source: Source, holdout: Holdout, progress: Progress) -> Tokenizer:
    if name == "bytes":
        return ByteTokenizer()
    progress("train the tokenizer", 0.0)
    train_texts = (document.text for split, document in assign(source.documents(), holdout) if split == "train")
    return train_bpe(check_tokenizer(name), train_texts)


def _write_splits(
    config: DataConfig,
    tokenizer: Tokenizer,
    source: Source,
    holdout: Holdout,
    directory: Path,
    progress: Callable[[int], None],
) -> dict[str, dict[str, int]]:
    """Writes tokens, offsets and names of both splits, a document at a time; returns how many of what."""
    counts: dict[str, dict[str, int]] = {split: {"documents": 0, "bytes": 0, "tokens": 0} for split in SPLITS}
    offsets: dict[str, list[int]] = {split: [0] for split in SPLITS}
    tokens_of = {split: (directory / f"{split}.tokens.u16").open("wb") for split in SPLITS}
    names_of = {split: (directory / f"{split}.names.jsonl").open("w", encoding="ascii") for split in SPLITS}
    heldout_lags: list[np.ndarray] = []
    try:
        done = 0
        for split, document in assign(source.documents(), holdout):
            tokens = tokenizer.encode(document.text)
            mixed, lags = mix(document.name, tokens, tokenizer.vocab_size, config.recall, config.dilution)
            tokens_of[split].write(np.concatenate([[BOUNDARY], mixed]).astype("<u2").tobytes())
            names_of[split].write(json.dumps(document.name) + "\n")
            offsets[split].append(offsets[split][-1] + len(mixed) + 1)
            if config.recall and split == "heldout":
                heldout_lags += [np.zeros(1), lags]
            size = int(tokenizer.token_bytes[tokens].sum())
            done += size
            counts[split]["bytes"] += size
            progress(done)
    finally:
        for file in (*tokens_of.values(), *names_of.values()):
            file.close()
    if config.recall:
        np.concatenate(heldout_lags).astype("<u4").tofile(directory / LAGS)
    for split in SPLITS:
        counts[split]["documents"] = len(offsets[split]) - 1
        counts[split]["tokens"] = offsets[split][-1]
        np.array(offsets[split], dtype="<i8").tofile(directory / f"{split}.offsets.i64")
    return counts


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file closes, and by the system when the process dies
        yield


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
