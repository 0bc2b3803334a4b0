"""The user's own text: a file, a folder (searched through) or a glob; .txt, .jsonl, and .gz of those.

A .txt file is one document; each line of a .jsonl file is one, under the key `text`. A file named outright, or by a
glob, may have any other ending and is read as .txt; a folder gives only the known endings, and nothing hidden. All must
be UTF-8 without NUL and not empty; the first file that is not is refused with the place of the fault.
"""

from __future__ import annotations

import glob
import gzip
import hashlib
import json
import os
import stat
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from isostate.config import UserError, canonical_json, nearest

ENDINGS = (".txt", ".jsonl", ".txt.gz", ".jsonl.gz")


class Document(NamedTuple):
    """A text that stands by itself: a file, or a line of a .jsonl file."""

    name: str
    text: str


@dataclass(frozen=True)
class Source:
    """A corpus: its identity (SHA-256 of all that was read), its documents (iterable again and again), its record."""

    identity: str
    documents: Callable[[], Iterator[Document]]
    record: dict[str, Any] = field(default_factory=dict)  # credit, versions, what was skipped: kept beside the shards


def read_text_files(corpus: str, named: Sequence[str]) -> Source:
    """The files that `corpus` leads to; `named` are the named corpora, for the message when there are none."""
    try:
        paths = _find(Path(corpus).expanduser(), corpus, named)
    except UserError:
        raise
    except (OSError, RuntimeError, ValueError) as error:  # a name too long, no such home, a NUL in it
        raise UserError(f"corpus {corpus!r}: not a path ({error}); give a file, a folder or a glob") from None
    root = Path(os.path.commonpath([path.parent for path in paths]))
    # Names are relative to the files' common folder, so the same text elsewhere has the same identity.
    files = sorted((path.relative_to(root).as_posix(), path) for path in paths)
    hashes = [(name, hashlib.sha256(read_file(path)).hexdigest()) for name, path in files]

    def documents() -> Iterator[Document]:
        for (name, path), (_, expected) in zip(files, hashes, strict=True):
            raw = read_file(path)
            if hashlib.sha256(raw).hexdigest() != expected:
                raise UserError(f"{path} changed while it was being read; run again when nothing writes to it")
            yield from parse(name, raw, str(path))

    return Source(identify(hashes), documents, {"files": len(files)})


def parse(name: str, raw: bytes, where: str) -> Iterator[Document]:
    """The documents of one file's bytes. Raises UserError naming `where` and the byte or line that is at fault."""
    if name.endswith(".gz"):
        try:
            raw = gzip.decompress(raw)
        except (OSError, EOFError, zlib.error) as error:
            raise UserError(f"{where}: not a whole gzip file ({error}); compress it again") from None
    text = check_text(raw, where)
    if not name.removesuffix(".gz").endswith(".jsonl"):
        yield Document(name, text)
        return
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        yield Document(f"{name}:{number}", _text_of_line(line, f"{where}, line {number}"))


def check_text(raw: bytes, where: str) -> str:
    """UTF-8 text, strictly. Raises UserError for an empty file, a NUL byte, or the first byte that is not UTF-8."""
    if not raw:
        raise UserError(f"{where}: the file is empty; leave it out, or put text in it")
    if (at := raw.find(b"\0")) >= 0:
        raise UserError(f"{where}: a NUL at byte {at}, so it is binary (or UTF-16); give UTF-8 text")
    try:
        return raw.decode("utf-8", errors="strict")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 at byte {error.start} ({error.reason}); convert it to UTF-8") from None


def read_file(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would wait for ever
            raise UserError(f"{path} is not a regular file; give a text file")
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; check the path and its permissions") from None


def identify(hashes: Sequence[tuple[str, str]]) -> str:
    """SHA-256 over the names and hashes of the files, in their order."""
    return hashlib.sha256(canonical_json(hashes).encode()).hexdigest()


def _find(path: Path, corpus: str, named: Sequence[str]) -> list[Path]:
    if path.is_dir():
        found = [Path(folder) / name for folder, name in _walk(path) if name.endswith(ENDINGS)]
        if not found:
            raise UserError(f"{corpus}: no text files in this folder; it needs {', '.join(ENDINGS)} (or give a glob)")
        return found
    if path.exists():
        return [path]
    if glob.has_magic(str(path)):
        found = [Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file()]
        if not found:
            raise UserError(f"{corpus}: no file matches this glob; check it with ls, and use ** for subfolders")
        return found
    raise UserError(
        f'corpus "{corpus}": no such file or folder{nearest(corpus, named)}; '
        f"give {', '.join(named)}, or the path of a text file, a folder or a glob"
    )


def _walk(root: Path) -> Iterator[tuple[str, str]]:
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        yield from ((folder, name) for name in names if not name.startswith("."))


def _text_of_line(line: str, where: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # ValueError: also a number of more digits than Python reads
        raise UserError(f"{where}: not JSON ({error}); each line of a .jsonl file is one object") from None
    text = row.get("text") if isinstance(row, dict) else None
    if not isinstance(text, str) or not text:
        raise UserError(f'{where}: no text; each line of a .jsonl file is an object such as {{"text": "..."}}')
    if "\0" in text:
        raise UserError(f"{where}: the text holds NUL (\\u0000), which marks document boundaries; remove it")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UserError(f"{where}: the text holds half a surrogate pair, which UTF-8 cannot say; remove it") from None
    return text
