"""Windows of tokens. A batch is a pure function of its arguments: the loader's whole state is the integer `step`.

All documents that may be used lie end to end on a line; a window is named by the place on it where it begins. Places
are uniform, so a document is chosen in proportion to its length and the start is uniform over it. A window that runs
past its document's end goes on at its beginning, where the boundary token stands. So every place in the document is as
likely at every position in the context: position in context says nothing of position in document. Wherever a boundary
token stands in a window, a document begins.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from isostate.config import UserError
from isostate.data.config import Documents
from isostate.data.holdout import SplitName
from isostate.data.shards import Shards, Split


def batch(
    shards: Shards, split: SplitName, context: int, batch_size: int, seed: int, step: int, documents: Documents
) -> np.ndarray:
    """Tokens (batch_size, context + 1), int64: inputs are [:, :-1], targets [:, 1:]. Raises as `check_context`."""
    n_places = check_context(shards, split, context, documents)
    # The raw words of Philox, not a Generator's integers: numpy keeps only the former the same from version to version.
    words_B = np.random.Philox(key=np.array([seed, step], dtype=np.uint64)).random_raw(batch_size)
    place_B = (words_B % np.uint64(n_places)).astype(np.int64)  # the remainder's bias is n_places / 2^64
    return windows(shards.split(split), context, documents, place_B)


def eval_windows(shards: Shards, context: int, n_windows: int, documents: Documents) -> np.ndarray:
    """Tokens (n_windows, context + 1), int64, of the held-out split, begun at even distances over all of it."""
    return windows(shards.split("heldout"), context, documents, eval_places(shards, context, n_windows, documents))


def eval_places(shards: Shards, context: int, n_windows: int, documents: Documents) -> np.ndarray:
    """Where on the line of held-out documents the windows of an evaluation begin, (n_windows,)."""
    n_places = check_context(shards, "heldout", context, documents)
    return (2 * np.arange(n_windows) + 1) * n_places // (2 * n_windows)


def check_context(shards: Shards, split: SplitName, context: int, documents: Documents) -> int:
    """How many places a window may begin at. Raises UserError when no document (`whole`), or not the split as a whole
    (`stream`), has `context` tokens, the boundary before it counted."""
    side = shards.split(split)
    n_places = int(_line(side, context, documents).ends[-1])
    if n_places:
        return n_places
    longest = int(np.diff(side.offsets).max()) if documents == "whole" else len(side.tokens)
    what = "its longest document" if documents == "whole" else "all of it"
    other = ', or documents = "stream"' if documents == "whole" and len(side.tokens) >= context else ""
    raise UserError(
        f"context {context}: the {split} split is too short, {what} has {longest} tokens; "
        f"use a context of at most {longest}{other}, or more text"
    )


def windows(split: Split, context: int, documents: Documents, place_B: np.ndarray) -> np.ndarray:
    """Tokens (B, context + 1), int64, of the windows that begin at `place_B` on the line."""
    starts, lengths, ends = _line(split, context, documents)
    document_B = np.searchsorted(ends, place_B, side="right") - 1
    offset_BT = (place_B - ends[document_B])[:, None] + np.arange(context + 1)
    at_BT = starts[document_B, None] + offset_BT % lengths[document_B, None]
    return split.tokens[at_BT].astype(np.int64)


class _Line(NamedTuple):
    """The usable documents: where each starts in the split's tokens, its length, and where it ends on the line; `ends`
    has one entry more, a leading 0."""

    starts: np.ndarray
    lengths: np.ndarray
    ends: np.ndarray


@lru_cache(maxsize=64)
def _line(split: Split, context: int, documents: Documents) -> _Line:
    offsets = split.offsets if documents == "whole" else split.offsets[[0, -1]]
    lengths = np.diff(offsets)
    usable = lengths >= context
    return _Line(offsets[:-1][usable], lengths[usable], np.concatenate([[0], np.cumsum(lengths[usable])]))
