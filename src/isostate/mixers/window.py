"""Softmax attention over the last w positions, its own included: the "KV cache transformer" of the state-size note.

    y_t = sum_{t-w < s <= t} softmax_s(q_t . k_s / sqrt(K) - slope (t - s)) v_s

The state is the last w keys and values; over L layers a token sees L (w - 1) + 1 tokens (FORMULAS section 1.2).
Sinks are the first positions of the sequence, which every later one sees and the state keeps (Xiao et al. 2024,
StreamingLLM); positions stay those of the sequence, not of the cache as there.

When to use it: as the first baseline of any recurrent mixer at equal state, and as the exact, local layer of a stack
whose other layers carry what is older.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import torch
from pydantic import model_validator
from torch import Tensor
from torch.nn.functional import pad

from isostate.mixers import fused, packed_attention
from isostate.mixers.contract import Causal, Form
from isostate.mixers.documents import Documents
from isostate.mixers.packed_attention import Sight
from isostate.mixers.projections import QKVMixer
from isostate.mixers.scores import attend_densely, capped, causal_bias, drop_weights, per_query_head, score_scale
from isostate.mixers.softmax import AttentionConfig, KeyValueState, attention_cost, empty_cache, mixer_slopes
from isostate.quantities import Cost, StateSize

MIN_BLOCK = 32  # smaller blocks lose more to the matmul's overhead than they save (NOTEBOOK, 2026-11-22)


class WindowConfig(AttentionConfig):
    """The last `window` positions, the own one included; the window sets the state."""

    kind: Literal["window"] = "window"
    window: int
    sinks: int = 0  # first positions that stay in sight

    knob: ClassVar[str | None] = "window"

    @model_validator(mode="after")
    def _window_is_positive(self) -> Self:
        if self.window < 1:
            raise ValueError(f"window = {self.window}: must be at least 1, the position itself")
        if self.sinks < 0:
            raise ValueError(f"sinks = {self.sinks}: must be 0 or more (4 is usual)")
        return self

    @property
    def family(self) -> str:
        marks = (
            "" if self.n_kv_heads == self.n_heads else f"-{self.n_kv_heads}kv",
            f"-{self.sinks}sinks" * (self.sinks > 0),
        )
        return "window" + "".join(marks)

    def knob_values(self, context: int) -> Sequence[int]:
        return range(1, max(context - self.sinks, 1) + 1)

    def state_size(self, context: int) -> StateSize:
        elements = self.n_kv_heads * self.head_dim * min(self.window + self.sinks, context)
        return StateSize({"keys": elements, "values": elements})

    def cost(self, batch: int, context: int, form: Form = "chunked", causal: Causal = "whole") -> Cost:
        block, seen = block_size(self.window), min(self.window + self.sinks, context)
        n_scores = context * context
        if form == "recurrent" or causal == "halved":
            n_scores = seen * (seen + 1) // 2 + (context - seen) * seen
        elif form == "chunked" and context > 2 * block + self.sinks:
            n_scores = -(-context // block) * block * (2 * block + self.sinks)
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
    sinks: int = 0,
) -> tuple[Tensor, KeyValueState]:
    """The definition: append one position, drop the oldest, attend. Returns y_BHTV and the state."""
    reads = []
    for t in range(q_BHTK.shape[2]):
        state = state.append(k_BGTK[:, :, t : t + 1], v_BGTV[:, :, t : t + 1], window, sinks)
        q_BH1K, gap = q_BHTK[:, :, t : t + 1], state.common_position - state.k_BGSK.shape[2]
        reads.append(attend_densely(q_BH1K, state.k_BGSK, state.v_BGSV, slopes_H, None, dropout, cap, sinks, gap))
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
    sinks: int = 0,
) -> tuple[Tensor, KeyValueState]:
    """All scores at once, those beyond the window masked."""
    both = state.append(k_BGTK, v_BGTV)
    gap = both.common_position - both.k_BGSK.shape[2]
    y_BHTV = attend_densely(q_BHTK, both.k_BGSK, both.v_BGSV, slopes_H, window, dropout, cap, sinks, gap)
    return y_BHTV, state.append(k_BGTK, v_BGTV, window, sinks)


def chunked(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    window: int,
    dropout: float = 0.0,
    cap: float | None = None,
    sinks: int = 0,
) -> tuple[Tensor, KeyValueState]:
    """Our kernel where it serves. Else blocks of at least w positions: each attends to itself, the block before and the
    sinks, 2 C scores a position."""
    H, T = q_BHTK.shape[1:3]
    if cap is None and not sinks and fused.fuses(q_BHTK, k_BGTK, v_BGTV, dropout):
        both = state.append(k_BGTK, v_BGTV)
        y_BHTV = fused.attention(q_BHTK, both.k_BGSK, both.v_BGSV, slopes_H, window)
        return y_BHTV, state.append(k_BGTK, v_BGTV, keep=window)
    block = block_size(window)
    if T + state.k_BGSK.shape[2] <= 2 * block + sinks:
        return parallel(q_BHTK, k_BGTK, v_BGTV, slopes_H, state, window, dropout, cap, sinks)
    n_blocks = -(-T // block)
    before, after = state.k_BGSK.shape[2], n_blocks * block - T
    k_BHSK, v_BHSV = (
        per_query_head(x, H) for x in (torch.cat([state.k_BGSK, k_BGTK], 2), torch.cat([state.v_BGSV, v_BGTV], 2))
    )
    edges = (0, 0, block - before, after)  # cuts what sinks add to the cache, out of sight but for them
    k_BHNSK, v_BHNSV = (in_pairs(pad(x, edges), n_blocks + 1, x[:, :, :sinks]) for x in (k_BHSK, v_BHSV))
    q_BHNCK = pad(q_BHTK * score_scale(q_BHTK, cap), (0, 0, 0, after)).unflatten(2, (n_blocks, block))
    bias_HNCS = _block_bias(block, n_blocks, before, slopes_H, window, q_BHTK.dtype, q_BHTK.device)
    if sinks:
        bias_HNCS = torch.cat(
            [sink_bias(block, n_blocks, sinks, state.common_position, slopes_H, window, bias_HNCS), bias_HNCS], -1
        )
    weight_BHNCS = drop_weights((capped(q_BHNCK @ k_BHNSK.mT, cap) + bias_HNCS).softmax(-1), dropout)
    y_BHTV = (weight_BHNCS @ v_BHNSV).flatten(2, 3)[:, :, :T]
    return y_BHTV, state.append(k_BGTK, v_BGTV, window, sinks)


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
    bias_HNCS[:, 0, :, : max(0, block - before)] = -torch.inf
    return bias_HNCS


def in_pairs(x_BHSK: Tensor, n_blocks: int, sinks_BHSK: Tensor) -> Tensor:
    """Each block but the first behind the one before it, and behind the sinks where there are any."""
    x_BHMCK = x_BHSK.unflatten(2, (n_blocks, -1))
    parts = [x_BHMCK[:, :, :-1], x_BHMCK[:, :, 1:]]
    if sinks_BHSK.shape[2]:
        parts.insert(0, sinks_BHSK.unsqueeze(2).expand(-1, -1, n_blocks - 1, -1, -1))
    return torch.cat(parts, dim=3)


def sink_bias(
    block: int, n_blocks: int, sinks: int, position: int, slopes_H: Tensor | None, window: int, like_HNCS: Tensor
) -> Tensor:
    """(H or 1, N, C, sinks): for sinks that lie before the window, which no block has."""
    query_T1 = torch.arange(position, position + n_blocks * block, device=like_HNCS.device).unsqueeze(-1)
    distance_TS = query_T1 - torch.arange(sinks, device=like_HNCS.device)
    bias_HTS = like_HNCS.new_zeros(1, n_blocks * block, sinks)
    if slopes_H is not None:
        bias_HTS = -slopes_H[:, None, None] * distance_TS
    return bias_HTS.masked_fill(distance_TS < window, -torch.inf).unflatten(1, (n_blocks, block))


class WindowMixer(QKVMixer):
    """Projections around the three forms."""

    config: WindowConfig

    def init_state(self, batch: int) -> KeyValueState:
        return empty_cache(self, batch)

    def attend(self, q_BHTK, k_BGTK, v_BGTV, gate_BTH, state, form, documents=None):
        config, dropout = self.config, self.config.attention_dropout if self.training else 0.0
        sight = Sight(config.window, dropout, config.score_cap, config.sinks)
        given = (q_BHTK, k_BGTK, v_BGTV, mixer_slopes(self, q_BHTK), state)
        if documents is None and not state.is_ragged:
            return FORMS[form](*given, config.window, dropout, config.score_cap, config.sinks)
        return packed_attention.FORMS[form](*given, documents or Documents.one(q_BHTK), sight)
