"""Corpora: where text comes from, as a list of documents with an identity (a hash of everything that was read).

`bard`    42 works of Shakespeare in modern spelling, bundled (credits in bundled/BARD_CREDITS.txt).
`python`  the running interpreter's standard library, read where it is installed: every .py file except tests,
          site-packages and `_sysconfigdata*` (the build machine's paths).
Anything else is the user's own text (textfiles.py).

The identity is cheap and true: it is made of the bytes on disk, before decompressing or decoding them.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import platform
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path

from isostate.config import UserError
from isostate.data.textfiles import Document, Source, check_text, identify, read_file, read_text_files

BARD_SHA256 = "b3f6b4a933c77b778e2b1ec5feaa734cf969884c7b0b5eb6df3de5cbbce18181"  # of the asset (scripts/build_bard.py)
BARD_TEXT_SHA256 = "ceebda4e5ee463ba01c105235b0f04467c758bf490999a62a220e15260dfb4e7"  # of the JSON lines inside
BARD_ASSET = Path(__file__).parent / "bundled" / "bard.jsonl.xz"
EXCLUDED_FOLDERS = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__"})


def open_corpus(corpus: str) -> Source:
    """The named corpus, or the user's file, folder or glob. Raises UserError when there is no such text."""
    return CORPORA[corpus]() if corpus in CORPORA else read_text_files(corpus, named=list(CORPORA))


def bard(asset: Path = BARD_ASSET) -> Source:
    """The bundled corpus. Raises UserError when the installed file is not the one that was shipped."""
    packed = read_file(asset)
    if hashlib.sha256(packed).hexdigest() != BARD_SHA256:
        raise UserError(f"{asset}: SHA-256 differs from the corpus that was shipped; install isostate again")

    def documents() -> Iterator[Document]:
        lines = lzma.decompress(packed)
        assert hashlib.sha256(lines).hexdigest() == BARD_TEXT_SHA256
        for line in lines.splitlines():
            work = json.loads(line)
            yield Document(work["name"], work["text"])

    return Source(BARD_TEXT_SHA256, documents, {"credit": "Open Shakespeare 0.6, CC BY 2.5; see BARD_CREDITS.txt"})


def python(stdlib: Path | None = None) -> Source:
    """The standard library's source. A file that is not UTF-8, holds NUL or is empty is skipped, and recorded so."""
    root = stdlib or Path(sysconfig.get_path("stdlib"))
    texts: list[Document] = []
    skipped: list[str] = []
    hashes: list[tuple[str, str]] = []
    for name in _python_files(root):
        raw = read_file(root / name)
        try:
            texts.append(Document(name, check_text(raw, name)))
            hashes.append((name, hashlib.sha256(raw).hexdigest()))
        except UserError as error:
            if raw:  # the many empty __init__.py are no news
                skipped.append(str(error))
    if not texts:
        raise UserError(f'corpus "python": {root} holds no .py files; use corpus = "bard", or a Python with its source')
    record = {"python": platform.python_version(), "files": len(texts), "skipped": skipped}
    return Source(identify(hashes), lambda: iter(texts), record)


def _python_files(root: Path) -> list[str]:
    found: list[str] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in EXCLUDED_FOLDERS]
        python_names = [name for name in names if name.endswith(".py") and not name.startswith("_sysconfigdata")]
        found.extend((Path(folder) / name).relative_to(root).as_posix() for name in python_names)
    return sorted(found)


CORPORA: dict[str, Callable[[], Source]] = {"bard": bard, "python": python}
