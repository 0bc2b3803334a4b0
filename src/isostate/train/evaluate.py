"""Held-out loss at a context: in nats a token, in bits a byte, and by position in the context.

A context longer than training's is read in segments of the training context, the state carried from one to the next:
what a recurrent model does when it generates. Losses are summed in float64, in one order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from isostate.model import Decoder

TOKENS_AT_ONCE = 8192  # of one segment, all windows together: bounds memory; part of the order of sums, so it is fixed


class InterruptedEvaluationError(Exception):
    """The caller was asked to stop before the evaluation was through."""


@dataclass(frozen=True)
class Evaluation:
    """Means over `n_tokens` held-out tokens. Bucket i is of positions edges[i] .. edges[i + 1] - 1, from 0."""

    loss_nats: float
    bits_per_byte: float
    n_tokens: int
    edges: list[int]
    loss_nats_by_position: list[float]

    def row(self) -> dict[str, Any]:
        """For metrics.jsonl. A loss that is not finite is null: JSON knows no NaN."""
        losses = {"loss_nats": _finite(self.loss_nats), "bits_per_byte": _finite(self.bits_per_byte)}
        return {**losses, "n_tokens": self.n_tokens}

    def to_dict(self) -> dict[str, Any]:
        by_position = {"edges": self.edges, "loss_nats": [_finite(loss) for loss in self.loss_nats_by_position]}
        return {**self.row(), "by_position": by_position}


def evaluate(
    model: Decoder,
    windows: np.ndarray,
    segment: int,
    token_bytes: np.ndarray,
    should_stop: Callable[[], bool] = lambda: False,
    tokens_at_once: int = TOKENS_AT_ONCE,
) -> Evaluation:
    """Evaluates `windows`, tokens (n, context + 1), by `segment` tokens. Raises InterruptedEvaluationError."""
    n_windows, context = windows.shape[0], windows.shape[1] - 1
    at_once = max(1, tokens_at_once // min(segment, context))
    sums_T = torch.zeros(context, dtype=torch.float64)
    with torch.no_grad():  # not inference_mode: a table that a module caches here must still serve training
        for first in range(0, n_windows, at_once):
            tokens_BT = torch.from_numpy(windows[first : first + at_once])
            start = 0
            for losses_BT in _segment_losses(model, tokens_BT, segment):
                sums_T[start : start + losses_BT.shape[1]] += losses_BT.double().sum(dim=0)
                start += losses_BT.shape[1]
                if should_stop():
                    raise InterruptedEvaluationError
    total_nats = sums_T.sum().item()
    total_bytes = int(token_bytes[windows[:, 1:]].sum(dtype=np.int64))
    edges = bucket_edges(context)
    means = [sums_T[a:b].sum().item() / (n_windows * (b - a)) for a, b in pairwise(edges)]
    n_tokens = n_windows * context
    return Evaluation(total_nats / n_tokens, total_nats / math.log(2) / total_bytes, n_tokens, edges, means)


def bucket_edges(context: int) -> list[int]:
    """0, the powers of two below `context`, `context`: 9 buckets at 256 tokens, 24 at 8 million."""
    return [0, *(2**n for n in range((context - 1).bit_length())), context]


def _segment_losses(model: Decoder, tokens_BT: Tensor, segment: int) -> Iterator[Tensor]:
    """Losses (B, up to `segment`) of one segment after another, the state carried."""
    state = None
    for start in range(0, tokens_BT.shape[1] - 1, segment):
        inputs_BT = tokens_BT[:, start : start + segment + 1]
        losses_BT, state = model.token_losses(inputs_BT[:, :-1].contiguous(), inputs_BT[:, 1:].contiguous(), state)
        yield losses_BT


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
