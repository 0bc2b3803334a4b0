"""Softmax attention of documents packed in a row and of ragged rows: all earlier positions of a query's own document.

    y_t = sum_{s <= t, same document} softmax_s(q_t . k_s / sqrt(K) - slope (t - s)) v_s       (t - s < w, or s a sink)

The three forms of softmax and window attention, where documents are given or rows of the state differ. A cache whose
rows remember different numbers of keys has them at its end; the first `begins_B` of a row are none of its own.
Sinks are the first positions of each document.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from isostate.mixers import fused
from isostate.mixers.documents import Documents
from isostate.mixers.scores import BLOCK, attend_with, behind, per_query_head

if TYPE_CHECKING:
    from isostate.mixers.softmax import KeyValueState


class Sight(NamedTuple):
    """What a query may see: `window` positions and the first `sinks`; `cap` and `dropout` of what it does see."""

    window: int | None = None
    dropout: float = 0.0
    cap: float | None = None
    sinks: int = 0


def recurrent(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    documents: Documents,
    sight: Sight,
) -> tuple[Tensor, KeyValueState]:
    """The definition: one position after another, attending to what the state remembers of its document, and itself."""
    reads = []
    for t in range(q_BHTK.shape[2]):
        here = documents.slice(t, t + 1)
        q_BH1K, k_BG1K, v_BG1V = (x[:, :, t : t + 1] for x in (q_BHTK, k_BGTK, v_BGTV))
        y_BH1V, state = parallel(q_BH1K, k_BG1K, v_BG1V, slopes_H, state, here, sight)
        reads.append(y_BH1V)
    return torch.cat(reads, dim=2), state


def parallel(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    documents: Documents,
    sight: Sight,
) -> tuple[Tensor, KeyValueState]:
    """All scores at once, those of other documents masked."""
    k_BGSK, v_BGSV = behind(state.k_BGSK, k_BGTK), behind(state.v_BGSV, v_BGTV)
    places = _Places.of(state, documents, sight.sinks)
    y_BHTV = _attend(q_BHTK, k_BGSK, v_BGSV, slopes_H, places, sight)
    return y_BHTV, remember(state, k_BGSK, v_BGSV, documents, sight)


def chunked(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    documents: Documents,
    sight: Sight,
) -> tuple[Tensor, KeyValueState]:
    """Our kernel where it serves, else blocks of queries against the keys from the first on that one of them sees."""
    k_BGSK, v_BGSV = behind(state.k_BGSK, k_BGTK), behind(state.v_BGSV, v_BGTV)
    after = remember(state, k_BGSK, v_BGSV, documents, sight)
    first_BT = first_keys(state, documents)
    if sight.cap is None and not sight.sinks and fused.fuses(q_BHTK, k_BGSK, v_BGSV, sight.dropout):
        return fused.attention(q_BHTK, k_BGSK, v_BGSV, slopes_H, sight.window, first_BT), after
    places, length, carried = _Places.of(state, documents, sight.sinks), q_BHTK.shape[2], state.k_BGSK.shape[2]
    blocks = []
    for start in range(0, length, BLOCK):
        stop = min(start + BLOCK, length)
        first, last = int(first_BT[:, start].min()), carried + stop
        if sight.window is not None and not sight.sinks:
            first = max(first, carried + start - sight.window + 1)
        k_BGsK, v_BGsV = k_BGSK[:, :, first:last], v_BGSV[:, :, first:last]
        seen = places.cut(slice(start, stop), slice(first, last))
        blocks.append(_attend(q_BHTK[:, :, start:stop], k_BGsK, v_BGsV, slopes_H, seen, sight))
    return torch.cat(blocks, dim=2), after


FORMS = {"recurrent": recurrent, "parallel": parallel, "chunked": chunked}


def first_keys(state: KeyValueState, documents: Documents) -> Tensor:
    """first_BT, int32: the first of the carried and the new keys that is of a query's document."""
    carried = state.k_BGSK.shape[2]
    own_B1 = 0 if state.begins_B is None else state.begins_B.unsqueeze(1)
    begins_BT = documents.begins_BT
    return torch.where(begins_BT >= 0, begins_BT + carried, own_B1).int()


def remember(state: KeyValueState, k_BGSK: Tensor, v_BGSV: Tensor, documents: Documents, sight: Sight) -> KeyValueState:
    """The state after these keys, the carried ones first: of each row's last document, as many as its window sees."""
    carried, begins_BT = state.k_BGSK.shape[2], documents.begins_BT
    position = documents.position_after(state.position)
    position_B = (
        position if isinstance(position, Tensor) else documents.ends_B.new_full(documents.ends_B.shape, position)
    )
    kept_B = position_B if sight.window is None else position_B.clamp(max=sight.window + sight.sinks)
    n_keys = int(kept_B.max())
    unused_B1 = (n_keys - kept_B).unsqueeze(1)
    rank_BS = torch.arange(n_keys, device=position_B.device) - unused_B1
    at_BS = (carried + documents.ends_B).unsqueeze(1) - n_keys + torch.arange(n_keys, device=position_B.device)
    if sight.sinks:
        new_BS = (carried + documents.ends_B - position_B).unsqueeze(1) + rank_BS
        own_B1 = 0 if state.begins_B is None else state.begins_B.unsqueeze(1)
        old_BS = torch.where((begins_BT[:, -1:] < 0) & (rank_BS < carried - own_B1), own_B1 + rank_BS, new_BS)
        at_BS = torch.where(rank_BS < sight.sinks, old_BS, at_BS)
    unused_BS = rank_BS < 0
    k, v = (_picked(x, at_BS.clamp(min=0), unused_BS) for x in (k_BGSK, v_BGSV))
    begins_B = unused_B1.squeeze(1) if bool(unused_BS.any()) else None
    return dataclasses.replace(state, k_BGSK=k, v_BGSV=v, position=position, begins_B=begins_B)


class _Places(NamedTuple):
    """Of queries and keys: the position within its document, and which of its row's documents that is; -1 for none."""

    query_BT: Tensor
    key_BS: Tensor
    query_document_BT: Tensor
    key_document_BS: Tensor

    @staticmethod
    def of(state: KeyValueState, documents: Documents, sinks: int) -> _Places:
        query_BT, document_BT = documents.positions_BT(state.position), documents.starts_BT.cumsum(1)
        carried = torch.arange(state.k_BGSK.shape[2], device=query_BT.device).expand(len(query_BT), -1)
        rank_BS = carried if state.begins_B is None else carried - state.begins_B.unsqueeze(1)
        position_B1 = state.position.unsqueeze(1) if isinstance(state.position, Tensor) else state.position
        place_BS = torch.where(rank_BS < sinks, rank_BS, position_B1 - state.k_BGSK.shape[2] + carried)
        key_BS = torch.cat([place_BS, query_BT], dim=1)
        return _Places(query_BT, key_BS, document_BT, torch.cat([-(rank_BS < 0).long(), document_BT], dim=1))

    def cut(self, queries: slice, keys: slice) -> _Places:
        return _Places(
            self.query_BT[:, queries],
            self.key_BS[:, keys],
            self.query_document_BT[:, queries],
            self.key_document_BS[:, keys],
        )

    def bias(self, slopes_H: Tensor | None, sight: Sight, like: Tensor) -> Tensor:
        """bias_BHTS, or bias_B1TS without slopes: -slope * distance, -inf where unseen."""
        distance_BTS = self.query_BT.unsqueeze(2) - self.key_BS.unsqueeze(1)
        seen_BTS = (self.query_document_BT.unsqueeze(2) == self.key_document_BS.unsqueeze(1)) & (distance_BTS >= 0)
        if sight.window is not None:
            seen_BTS &= (distance_BTS < sight.window) | (self.key_BS.unsqueeze(1) < sight.sinks)
        distance_B1TS = distance_BTS.unsqueeze(1)
        if slopes_H is None:
            bias_BHTS = torch.zeros_like(distance_B1TS, dtype=like.dtype)
        else:
            bias_BHTS = -slopes_H[:, None, None] * distance_B1TS
        return bias_BHTS.masked_fill(~seen_BTS.unsqueeze(1), -torch.inf)


def _attend(
    q_BHTK: Tensor, k_BGSK: Tensor, v_BGSV: Tensor, slopes_H: Tensor | None, places: _Places, sight: Sight
) -> Tensor:
    """y_BHTV; holds all scores."""
    H = q_BHTK.shape[1]
    k_BHSK, v_BHSV = per_query_head(k_BGSK, H), per_query_head(v_BGSV, H)
    bias_BHTS = places.bias(slopes_H, sight, q_BHTK)
    if sight.cap is None:
        return scaled_dot_product_attention(q_BHTK, k_BHSK, v_BHSV, attn_mask=bias_BHTS, dropout_p=sight.dropout)
    return attend_with(q_BHTK, k_BHSK, v_BHSV, bias_BHTS, sight.dropout, sight.cap)


def _picked(x_BGSK: Tensor, at_BS: Tensor, unused_BS: Tensor) -> Tensor:
    """The keys at these places of each row, zero where unused."""
    at_BGSK = at_BS[:, None, :, None].expand(-1, x_BGSK.shape[1], -1, x_BGSK.shape[3])
    return x_BGSK.gather(2, at_BGSK).masked_fill(unused_BS[:, None, :, None], 0.0)
