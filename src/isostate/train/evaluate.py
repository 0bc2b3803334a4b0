"""Held-out loss at a context: in nats a token, in bits a byte, and by position in the context.

A context longer than training's is read in segments of the training context, the state carried from one to the next:
what a recurrent model does when it generates. Losses are summed in float64, in one order. With document masks a token
that begins a document is predicted by none: it counts neither as a token nor in bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from isostate.model import Decoder
from isostate.train.windows import given

TOKENS_AT_ONCE = 8192  # of one segment, all windows together: bounds memory; part of the order of sums, so it is fixed


class InterruptedEvaluationError(Exception):
    """The caller was asked to stop before the evaluation was through."""


class Part(NamedTuple):
    """Some of the targets alone: answers of recall, the text without what was mixed into it."""

    loss_nats: float
    n_tokens: int


@dataclass(frozen=True)
class Evaluation:
    """Means over `n_tokens` held-out tokens. Bucket i is of positions edges[i] .. edges[i + 1] - 1, from 0."""

    loss_nats: float
    bits_per_byte: float
    n_tokens: int
    edges: list[int]
    loss_nats_by_position: list[float]
    parts: dict[str, Part] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """For metrics.jsonl. A loss that is not finite is null: JSON knows no NaN."""
        losses = {"loss_nats": _finite(self.loss_nats), "bits_per_byte": _finite(self.bits_per_byte)}
        return {**losses, "n_tokens": self.n_tokens}

    def to_dict(self) -> dict[str, Any]:
        by_position = {"edges": self.edges, "loss_nats": [_finite(loss) for loss in self.loss_nats_by_position]}
        told = {
            name: {"loss_nats": _finite(part.loss_nats), "n_tokens": part.n_tokens} for name, part in self.parts.items()
        }
        return {**self.row(), "by_position": by_position, **({"parts": told} if told else {})}


def evaluate(
    model: Decoder,
    windows: np.ndarray,
    segment: int,
    token_bytes: np.ndarray,
    should_stop: Callable[[], bool] = lambda: False,
    document_mask: bool = False,
    tokens_at_once: int = TOKENS_AT_ONCE,
    parts: Mapping[str, np.ndarray] | None = None,
) -> Evaluation:
    """Evaluates `windows`, tokens (n, context + 1), by `segment` tokens; the targets of `parts`, masks (n, context), by
    themselves too. Raises InterruptedEvaluationError."""
    n_windows, context = windows.shape[0], windows.shape[1] - 1
    total_bytes, at_once = 0, max(1, tokens_at_once // min(segment, context))
    sums_T, counts_T = torch.zeros(context, dtype=torch.float64), torch.zeros(context, dtype=torch.int64)
    masks = {name: torch.from_numpy(mask) for name, mask in (parts or {}).items()}
    sums, counts = dict.fromkeys(masks, 0.0), dict.fromkeys(masks, 0)
    with torch.no_grad():  # not inference_mode: a table that a module caches here must still serve training
        for first in range(0, n_windows, at_once):
            tokens_BT = torch.from_numpy(windows[first : first + at_once])
            start, targets_BT = 0, given(tokens_BT, document_mask).targets_BT
            counts_T += (targets_BT >= 0).sum(0)
            total_bytes += int(token_bytes[targets_BT[targets_BT >= 0].numpy()].sum(dtype=np.int64))
            here = {name: mask_BT[first : first + at_once] & (targets_BT >= 0) for name, mask_BT in masks.items()}
            for losses_BT in _segment_losses(model, tokens_BT, segment, document_mask):
                end = start + losses_BT.shape[1]
                sums_T[start:end] += losses_BT.double().sum(dim=0)
                for name, mask_BT in here.items():
                    sums[name] += losses_BT[mask_BT[:, start:end]].double().sum().item()
                    counts[name] += int(mask_BT[:, start:end].sum())
                start = end
                if should_stop():
                    raise InterruptedEvaluationError
    total_nats, n_tokens, edges = sums_T.sum().item(), int(counts_T.sum()), bucket_edges(context)
    means = [_mean(sums_T[a:b].sum().item(), int(counts_T[a:b].sum())) for a, b in pairwise(edges)]
    bits_per_byte = _mean(total_nats / math.log(2), total_bytes)
    told = {name: Part(_mean(sums[name], counts[name]), counts[name]) for name in masks}
    return Evaluation(_mean(total_nats, n_tokens), bits_per_byte, n_tokens, edges, means, told)


def bucket_edges(context: int) -> list[int]:
    """0, the powers of two below `context`, `context`: 9 buckets at 256 tokens, 24 at 8 million."""
    return [0, *(2**n for n in range((context - 1).bit_length())), context]


def _segment_losses(model: Decoder, tokens_BT: Tensor, segment: int, document_mask: bool) -> Iterator[Tensor]:
    """Losses (B, up to `segment`) of one segment after another, the state carried."""
    state = None
    for start in range(0, tokens_BT.shape[1] - 1, segment):
        part = given(tokens_BT[:, start : start + segment + 1], document_mask)
        losses_BT, state = model.token_losses(part.inputs_BT, part.targets_BT, state, documents=part.documents)
        yield losses_BT


def _mean(total: float, count: int) -> float:
    """NaN of nothing."""
    return total / count if count else math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
