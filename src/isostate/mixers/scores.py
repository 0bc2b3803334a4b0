"""Scores of softmax attention in torch: all of them at once, their bias, cap and dropout."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import dropout as drop

BLOCK = 512  # queries at once, where torch makes their scores: bounds a bias matrix to H x 512 x S


def attend_densely(
    q_BHTK: Tensor,
    k_BGSK: Tensor,
    v_BGSV: Tensor,
    slopes_H: Tensor | None,
    window: int | None = None,
    dropout: float = 0.0,
    cap: float | None = None,
    sinks: int = 0,
    gap: int = 0,
) -> Tensor:
    """The last T of S positions query all S, causally, within `window`. Holds all scores."""
    k_BHSK, v_BHSV = per_query_head(k_BGSK, q_BHTK.shape[1]), per_query_head(v_BGSV, q_BHTK.shape[1])
    queries, keys = q_BHTK.shape[2], k_BHSK.shape[2]
    bias = causal_bias(queries, keys, slopes_H, q_BHTK.dtype, q_BHTK.device, window, sinks, gap)
    return attend_with(q_BHTK, k_BHSK, v_BHSV, bias, dropout, cap)


def attend_with(
    q_BHTK: Tensor, k_BHSK: Tensor, v_BHSV: Tensor, bias_BHTS: Tensor, dropout: float, cap: float | None
) -> Tensor:
    """y_BHTV of all scores and what is added to them, for a key head a query head."""
    scores_BHTS = capped((q_BHTK * score_scale(q_BHTK, cap)) @ k_BHSK.mT, cap) + bias_BHTS
    return drop_weights(scores_BHTS.softmax(-1), dropout) @ v_BHSV


def behind(old_BGSK: Tensor, new_BGTK: Tensor) -> Tensor:
    """New keys or values after the remembered ones; an empty cache would cost a copy of everything."""
    return torch.cat([old_BGSK, new_BGTK], dim=2) if old_BGSK.shape[2] else new_BGTK


def score_scale(q_BHTK: Tensor, cap: float | None) -> float:
    """1 / sqrt(K), over the cap where there is one."""
    return q_BHTK.shape[-1] ** -0.5 / (1.0 if cap is None else cap)


def capped(scores_BHTS: Tensor, cap: float | None) -> Tensor:
    """Of scores over their cap: cap tanh(scores); as they are where there is no cap."""
    return scores_BHTS if cap is None else scores_BHTS.tanh() * cap


def drop_weights(weight_BHTS: Tensor, share: float) -> Tensor:
    """Each weight is 0 with probability `share`, else larger by 1 / (1 - share)."""
    return drop(weight_BHTS, share) if share else weight_BHTS


def causal_bias(
    queries: int,
    keys: int,
    slopes_H: Tensor | None,
    dtype: torch.dtype,
    device: torch.device,
    window: int | None = None,
    sinks: int = 0,
    gap: int = 0,
) -> Tensor:
    """What is added to the scores of the last `queries` of `keys` positions: -slope * distance, -inf where unseen.

    The first `sinks` keys are seen from however far; `gap` positions behind them are no longer there.
    (H, queries, keys), or (1, queries, keys) without slopes.
    """
    query_T1 = torch.arange(keys - queries, keys, device=device).unsqueeze(-1)
    distance_TS = query_T1 - torch.arange(keys, device=device)
    if gap:
        distance_TS[:, :sinks] += gap
    unseen_TS = distance_TS < 0 if window is None else (distance_TS < 0) | (distance_TS >= window)
    if sinks:
        unseen_TS[:, :sinks] = distance_TS[:, :sinks] < 0
    bias_HTS = torch.zeros(1, queries, keys, dtype=dtype, device=device)
    if slopes_H is not None:
        bias_HTS = -slopes_H[:, None, None] * distance_TS
    return bias_HTS.masked_fill(unseen_TS, -torch.inf)


def per_query_head(x_BGSK: Tensor, n_heads: int) -> Tensor:
    """Repeats each key-value head for the query heads of its group."""
    return x_BGSK if x_BGSK.shape[1] == n_heads else x_BGSK.repeat_interleave(n_heads // x_BGSK.shape[1], dim=1)
