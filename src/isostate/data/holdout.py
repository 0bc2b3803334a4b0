"""Which documents are held out. Whole documents, chosen by the hash of their names: adding a document moves few others.

In hash order, a document is held out when it still fits into `share` of the corpus's bytes. Where that gives less than
half of the share (one big file, say), the end of the longest document not chosen makes up the rest: it is cut at a
line's end.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from isostate.config import UserError
from isostate.data.textfiles import Document

SplitName = Literal["train", "heldout"]


@dataclass(frozen=True)
class Holdout:
    """Indices of the documents held out whole; `cut`: the document of which the last `cut_bytes` are held out."""

    whole: frozenset[int]
    cut: int | None = None
    cut_bytes: int = 0


def choose_holdout(names: Sequence[str], n_bytes: Sequence[int], share: float) -> Holdout:
    """Depends on nothing but its arguments: not on the tokenizer, not on the context."""
    wanted = int(share * sum(n_bytes))
    held: set[int] = set()
    held_bytes = 0
    for index in sorted(
        range(len(names)), key=lambda i: hashlib.sha256(names[i].encode(errors="surrogateescape")).digest()
    ):
        if held_bytes + n_bytes[index] <= wanted:
            held.add(index)
            held_bytes += n_bytes[index]
    if held_bytes >= wanted / 2 and held:
        return Holdout(frozenset(held))
    longest = max((i for i in range(len(names)) if i not in held), key=lambda i: n_bytes[i])
    return Holdout(frozenset(held), longest, wanted - held_bytes)


def assign(documents: Iterable[Document], holdout: Holdout) -> Iterator[tuple[SplitName, Document]]:
    """Each document with its split; a document that is cut comes twice, its ends apart."""
    for index, document in enumerate(documents):
        if index in holdout.whole:
            yield "heldout", document
        elif index == holdout.cut:
            first, rest = cut_end(document.text, holdout.cut_bytes)
            if not first or not rest:
                raise UserError(f"{document.name}: too short to hold out a part of it; give more text")
            yield "train", Document(document.name, first)
            yield "heldout", Document(f"{document.name} (end)", rest)
        else:
            yield "train", document


def cut_end(text: str, n_bytes: int) -> tuple[str, str]:
    """`text` in two, the second about `n_bytes` long: up to half as long again if that lets it begin with a line."""
    raw = text.encode("utf-8")
    at = len(raw) - n_bytes
    line = raw.rfind(b"\n", max(0, at - n_bytes // 2), at) + 1
    while not line and at and raw[at : at + 1] and raw[at] & 0xC0 == 0x80:  # never inside a character
        at -= 1
    at = line or at
    return raw[:at].decode("utf-8"), raw[at:].decode("utf-8")
