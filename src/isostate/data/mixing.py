"""What is mixed into a corpus's tokens after the tokenizer: recall, then fillers; and which targets are of which kind.

Dilution puts `dilution` fillers after every token: the same text, its words further apart. A window then sees that many
times less of the text; a state that lets fillers pass sees the same.

Ids: the tokenizer's, then the symbols of recall, last the filler. Each of the new ones counts as one byte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from isostate.data.batches import eval_places, windows
from isostate.data.recall import RecallConfig, mix_recall
from isostate.data.shards import Shards, Split

if TYPE_CHECKING:
    from isostate.data.config import Documents


def mix(
    name: str, tokens: np.ndarray, base_vocab: int, recall: RecallConfig | None, dilution: int
) -> tuple[np.ndarray, np.ndarray]:
    """A document's tokens as they are trained on, and the lag of each: of an answer how long ago its fact began."""
    mixed, lags = tokens.astype(np.int64), np.zeros(len(tokens), dtype=np.int64)
    symbols = 0
    if recall is not None:
        mixed, lags = mix_recall(recall, name, tokens, base_vocab)
        symbols = recall.symbols
    if dilution:
        spread = np.full((len(mixed), dilution + 1), base_vocab + symbols, dtype=np.int64)
        spread[:, 0] = mixed
        spread_lags = np.zeros_like(spread)
        spread_lags[:, 0] = lags * (dilution + 1)
        mixed, lags = spread.reshape(-1), spread_lags.reshape(-1)
    return mixed, lags


def eval_parts(shards: Shards, context: int, n_windows: int, documents: Documents) -> dict[str, np.ndarray]:
    """Masks (n_windows, context) over the targets of `eval_windows`, by name; none for a corpus with nothing mixed in.

    answers  of recall, whose fact lies in the window too
    text     the corpus's own tokens, without symbols and fillers
    """
    if not shards.n_symbols:
        return {}
    split, place_B = shards.split("heldout"), eval_places(shards, context, n_windows, documents)
    tokens_BT = windows(split, context, documents, place_B)
    parts = {"text": tokens_BT[:, 1:] < shards.tokenizer.vocab_size}
    if shards.lags is not None:
        lags_BT = windows(Split(split.name, shards.lags, split.offsets), context, documents, place_B)
        inside_BT = lags_BT <= np.arange(context + 1)
        parts["answers"] = ((lags_BT > 0) & inside_BT)[:, 1:]
    return {name: mask for name, mask in parts.items() if mask.any()}
