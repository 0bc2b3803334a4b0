"""Softmax attention over the last w positions, its own included: the "KV cache transformer" of the state-size note.

    y_t = sum_{t-w < s <= t} softmax_s(q_t . k_s / sqrt(K) - slope (t - s)) v_s

The state is the last w keys and values; over L layers a token sees L (w - 1) + 1 tokens (FORMULAS section 1.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor
from torch.nn.functional import pad

from isostate.mixers import fused
from isostate.mixers.contract import Causal, Form
from isostate.mixers.projections import QKVMixer
from isostate.mixers.softmax import (
    AttentionConfig,
    KeyValueState,
    attend_densely,
    attention_cost,
    capped,
    causal_bias,
    drop_weights,
    empty_cache,
    mixer_slopes,
    per_query_head,
    score_scale,
)
from isostate.quantities import Cost, StateSize

MIN_BLOCK = 32  # smaller blocks lose more to the matmul's overhead than they save (NOTEBOOK, 2026-11-22)


class WindowConfig(AttentionConfig):
    """The last `window` positions, the own one included; the window sets the state."""

    kind: Literal["window"] = "window"
    window: int

    knob: ClassVar[str | None] = "window"

    @model_validator(mode="after")
    def _window_is_positive(self) -> Self:
        if self.window < 1:
            raise ValueError(f"window = {self.window}: must be at least 1, the position itself")
        return self

    @property
    def family(self) -> str:
        return "window" if self.n_kv_heads == self.n_heads else f"window-{self.n_kv_heads}kv"

    def knob_values(self, context: int) -> Sequence[int]:
        return range(1, context + 1)

    def state_size(self, context: int) -> StateSize:
        elements = self.n_kv_heads * self.head_dim * min(self.window, context)
        return StateSize({"keys": elements, "values": elements})

    def cost(self, batch: int, context: int, form: Form = "chunked", causal: Causal = "whole") -> Cost:
        block, seen = block_size(self.window), min(self.window, context)
        n_scores = context * context
        if form == "recurrent" or causal == "halved":
            n_scores = seen * (seen + 1) // 2 + (context - seen) * seen
        elif form == "chunked" and context > 2 * block:
            n_scores = -(-context // block) * block * 2 * block
        return self.projection_cost(batch * context) + attention_cost(self, batch, n_scores)


def recurrent(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    window: int,
    dropout: float = 0.0,
    cap: float | None = None,
) -> tuple[Tensor, KeyValueState]:
    """The definition: append one position, drop the oldest, attend. Returns y_BHTV and the state."""
    reads = []
    for t in range(q_BHTK.shape[2]):
        state = state.append(k_BGTK[:, :, t : t + 1], v_BGTV[:, :, t : t + 1], keep=window)
        q_BH1K = q_BHTK[:, :, t : t + 1]
        reads.append(attend_densely(q_BH1K, state.k_BGSK, state.v_BGSV, slopes_H, dropout=dropout, cap=cap))
    return torch.cat(reads, dim=2), state


def parallel(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    window: int,
    dropout: float = 0.0,
    cap: float | None = None,
) -> tuple[Tensor, KeyValueState]:
    """All scores at once, those beyond the window masked."""
    both = state.append(k_BGTK, v_BGTV)
    y_BHTV = attend_densely(q_BHTK, both.k_BGSK, both.v_BGSV, slopes_H, window, dropout, cap)
    return y_BHTV, state.append(k_BGTK, v_BGTV, keep=window)


def chunked(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    window: int,
    dropout: float = 0.0,
    cap: float | None = None,
) -> tuple[Tensor, KeyValueState]:
    """Our kernel where it serves. Else blocks of at least w positions: each attends to itself and the block before, 2 C
    scores a position, not T."""
    H, T = q_BHTK.shape[1:3]
    if fused.fuses(q_BHTK, k_BGTK, v_BGTV, dropout):
        both = state.append(k_BGTK, v_BGTV)
        y_BHTV = fused.attention(q_BHTK, both.k_BGSK, both.v_BGSV, slopes_H, window)
        return y_BHTV, state.append(k_BGTK, v_BGTV, keep=window)
    block = block_size(window)
    if T + state.k_BGSK.shape[2] <= 2 * block:
        return parallel(q_BHTK, k_BGTK, v_BGTV, slopes_H, state, window, dropout, cap)
    n_blocks = -(-T // block)
    before, after = state.k_BGSK.shape[2], n_blocks * block - T
    k_BHMCK, v_BHMCV = (
        pad(per_query_head(x, H), (0, 0, block - before, after)).unflatten(2, (n_blocks + 1, block))
        for x in (torch.cat([state.k_BGSK, k_BGTK], 2), torch.cat([state.v_BGSV, v_BGTV], 2))
    )
    k_BHNSK = torch.cat([k_BHMCK[:, :, :-1], k_BHMCK[:, :, 1:]], dim=3)
    v_BHNSV = torch.cat([v_BHMCV[:, :, :-1], v_BHMCV[:, :, 1:]], dim=3)
    q_BHNCK = pad(q_BHTK * score_scale(q_BHTK, cap), (0, 0, 0, after)).unflatten(2, (n_blocks, block))
    bias_HNCS = _block_bias(block, n_blocks, before, slopes_H, window, q_BHTK.dtype, q_BHTK.device)
    weight_BHNCS = drop_weights((capped(q_BHNCK @ k_BHNSK.mT, cap) + bias_HNCS).softmax(-1), dropout)
    y_BHTV = (weight_BHNCS @ v_BHNSV).flatten(2, 3)[:, :, :T]
    return y_BHTV, state.append(k_BGTK, v_BGTV, keep=window)


FORMS = {"recurrent": recurrent, "parallel": parallel, "chunked": chunked}


def block_size(window: int) -> int:
    return max(window, MIN_BLOCK)


def _block_bias(
    block: int,
    n_blocks: int,
    before: int,
    slopes_H: Tensor | None,
    window: int,
    dtype: torch.dtype,
    device: torch.device,
) -> Tensor:
    """(H or 1, N, C, 2 C): distance and window; in the first block also what lies before the remembered keys."""
    bias_H1CS = causal_bias(block, 2 * block, slopes_H, dtype, device, window).unsqueeze(1)
    bias_HNCS = bias_H1CS.repeat(1, n_blocks, 1, 1)
    bias_HNCS[:, 0, :, : block - before] = -torch.inf
    return bias_HNCS


class WindowMixer(QKVMixer):
    """Projections around the three forms."""

    config: WindowConfig

    def init_state(self, batch: int) -> KeyValueState:
        return empty_cache(self, batch)

    def attend(self, q_BHTK, k_BGTK, v_BGTV, gate_BTH, state, form):
        slopes_H = mixer_slopes(self, q_BHTK)
        dropout = self.config.attention_dropout if self.training else 0.0
        window, cap = self.config.window, self.config.score_cap
        return FORMS[form](q_BHTK, k_BGTK, v_BGTV, slopes_H, state, window, dropout, cap)
