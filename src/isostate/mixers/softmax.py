"""Softmax attention over all earlier positions (Vaswani et al. 2017), with multi-, grouped- or single-head keys.

    y_t = sum_{s<=t} softmax_s(q_t . k_s / sqrt(K) - slope (t - s)) v_s

As a recurrence its state is the KV cache: it grows by 2 G K elements a token, and its feature map is infinite.

When to use it: where a token must be found again exactly, however far back, and the cache fits; as the reference that
a fixed state is measured against. A step reads the whole cache, so its time and memory grow with the context.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from isostate.mixers import fused, packed_attention
from isostate.mixers.contract import Causal, Form, State
from isostate.mixers.documents import Documents
from isostate.mixers.packed_attention import Sight
from isostate.mixers.projections import QKVConfig, QKVMixer, alibi_slopes, fill_heads
from isostate.mixers.scores import BLOCK, attend_densely, behind, causal_bias, per_query_head
from isostate.quantities import Cost, StateSize


class AttentionConfig(QKVConfig):
    """Abstract: what softmax and window attention share. Heads default to 4; `n_kv_heads` to `n_heads`."""

    n_kv_heads: int
    attention_dropout: float = Field(0.0, ge=0, lt=1)  # of the weights, in training, as GPT-2 has it
    score_cap: float | None = Field(None, gt=0)  # scores become cap tanh(scores / cap) before the bias (Gemma 2)

    @model_validator(mode="before")
    @classmethod
    def _fill_heads(cls, values: Any) -> Any:
        return fill_kv_heads(fill_heads(values, default_heads=4))

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        if self.n_kv_heads < 1 or self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"n_kv_heads = {self.n_kv_heads}: must divide n_heads = {self.n_heads}; 1 is multi-query attention"
            )
        return self

    @property
    def n_key_heads(self) -> int:
        return self.n_kv_heads

    @property
    def draws(self) -> bool:
        return self.attention_dropout > 0


class SoftmaxConfig(AttentionConfig):
    """All earlier positions; the context alone sets the state."""

    kind: Literal["softmax"] = "softmax"

    knob: ClassVar[str | None] = None

    @property
    def family(self) -> str:
        return "softmax" if self.n_kv_heads == self.n_heads else f"softmax-{self.n_kv_heads}kv"

    def knob_values(self, context: int) -> Sequence[int]:
        return ()

    def state_size(self, context: int) -> StateSize:
        elements = self.n_kv_heads * self.head_dim * context
        return StateSize({"keys": elements, "values": elements})

    def cost(self, batch: int, context: int, form: Form = "chunked", causal: Causal = "whole") -> Cost:
        n_scores = context * context
        if form == "recurrent" or causal == "halved":
            n_scores = context * (context + 1) // 2
        elif form == "chunked" and self.positions == "alibi" and self.score_cap is None:
            n_scores = self._block_scores(context)
        return self.projection_cost(batch * context) + attention_cost(self, batch, n_scores)

    def _block_scores(self, context: int) -> int:
        """Pairs of query and key, a head: blocks of queries, each against its past alone."""
        ends = [min(start + BLOCK, context) for start in range(0, context, BLOCK)]
        return sum((end - start) * end for start, end in zip([0, *ends[:-1]], ends, strict=True))


@dataclass(frozen=True)
class KeyValueState(State):
    """The cache: keys (rotated already, where positions are rotary) and values of the S positions remembered.

    Where rows remember different numbers, the first `begins_B` of a row are none of its own.
    """

    k_BGSK: Tensor
    v_BGSV: Tensor
    position: int | Tensor = 0
    begins_B: Tensor | None = None

    @property
    def padding(self) -> int:
        if self.begins_B is None:
            return 0
        _, heads, _, size = self.k_BGSK.shape
        return 2 * heads * size * int(self.begins_B.sum())

    @property
    def common_position(self) -> int:
        """Where rows do not differ."""
        assert isinstance(self.position, int)
        return self.position

    @property
    def is_ragged(self) -> bool:
        """Whether rows differ."""
        return isinstance(self.position, Tensor) or self.begins_B is not None

    def append(self, k_BGTK: Tensor, v_BGTV: Tensor, keep: int | None = None, sinks: int = 0) -> KeyValueState:
        """With the new positions at the end; only the last `keep`, where given, and the first `sinks`."""
        k, v = behind(self.k_BGSK, k_BGTK), behind(self.v_BGSV, v_BGTV)
        drop = 0 if keep is None else max(0, k.shape[2] - sinks - keep)
        if sinks and drop:
            k, v = (torch.cat([x[:, :, :sinks], x[:, :, sinks + drop :]], dim=2) for x in (k, v))
        elif drop:
            k, v = k[:, :, drop:], v[:, :, drop:]
        return KeyValueState(k, v, self.position + k_BGTK.shape[2])


def recurrent(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    dropout: float = 0.0,
    cap: float | None = None,
) -> tuple[Tensor, KeyValueState]:
    """The definition: one position after another, the cache growing. Returns y_BHTV and the state."""
    reads = []
    for t in range(q_BHTK.shape[2]):
        state = state.append(k_BGTK[:, :, t : t + 1], v_BGTV[:, :, t : t + 1])
        q_BH1K = q_BHTK[:, :, t : t + 1]
        reads.append(attend_densely(q_BH1K, state.k_BGSK, state.v_BGSV, slopes_H, dropout=dropout, cap=cap))
    return torch.cat(reads, dim=2), state


def parallel(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    dropout: float = 0.0,
    cap: float | None = None,
) -> tuple[Tensor, KeyValueState]:
    """All scores at once."""
    state = state.append(k_BGTK, v_BGTV)
    return attend_densely(q_BHTK, state.k_BGSK, state.v_BGSV, slopes_H, dropout=dropout, cap=cap), state


def chunked(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTV: Tensor,
    slopes_H: Tensor | None,
    state: KeyValueState,
    dropout: float = 0.0,
    cap: float | None = None,
) -> tuple[Tensor, KeyValueState]:
    """Our kernel where it serves, else blocks of queries through torch's, each against its past alone.

    Torch's takes a bias of two or four dimensions: with three it falls back to the whole matrix. Neither caps scores.
    """
    if cap is not None:
        return parallel(q_BHTK, k_BGTK, v_BGTV, slopes_H, state, dropout, cap)
    state = state.append(k_BGTK, v_BGTV)
    H, T, n_keys = q_BHTK.shape[1], q_BHTK.shape[2], state.k_BGSK.shape[2]
    if fused.fuses(q_BHTK, state.k_BGSK, state.v_BGSV, dropout):
        return fused.attention(q_BHTK, state.k_BGSK, state.v_BGSV, slopes_H), state
    k_BHSK, v_BHSV = per_query_head(state.k_BGSK, H), per_query_head(state.v_BGSV, H)
    if slopes_H is None and n_keys == T:
        return scaled_dot_product_attention(q_BHTK, k_BHSK, v_BHSV, dropout_p=dropout, is_causal=True), state
    blocks = []
    for start in range(0, T, BLOCK):
        stop = min(start + BLOCK, T)
        seen = n_keys - T + stop
        bias_1HTS = causal_bias(stop - start, seen, slopes_H, q_BHTK.dtype, q_BHTK.device).unsqueeze(0)
        q, k, v = q_BHTK[:, :, start:stop], k_BHSK[:, :, :seen], v_BHSV[:, :, :seen]
        blocks.append(scaled_dot_product_attention(q, k, v, attn_mask=bias_1HTS, dropout_p=dropout))
    return torch.cat(blocks, dim=2), state


FORMS = {"recurrent": recurrent, "parallel": parallel, "chunked": chunked}


class SoftmaxMixer(QKVMixer):
    """Projections around the three forms."""

    config: SoftmaxConfig

    def init_state(self, batch: int) -> KeyValueState:
        return empty_cache(self, batch)

    def attend(self, q_BHTK, k_BGTK, v_BGTV, gate_BTH, state, form, documents=None):
        dropout = self.config.attention_dropout if self.training else 0.0
        given = (q_BHTK, k_BGTK, v_BGTV, mixer_slopes(self, q_BHTK), state)
        if documents is None and not state.is_ragged:
            return FORMS[form](*given, dropout, self.config.score_cap)
        sight = Sight(None, dropout, self.config.score_cap)
        return packed_attention.FORMS[form](*given, documents or Documents.one(q_BHTK), sight)


def empty_cache(mixer: QKVMixer, batch: int) -> KeyValueState:
    """The state before the first token: no keys, no values."""
    empty_BGSK = mixer.out_proj.weight.new_zeros(batch, mixer.config.n_key_heads, 0, mixer.config.head_dim)
    return KeyValueState(empty_BGSK, empty_BGSK)


def mixer_slopes(mixer: QKVMixer, like_BHTK: Tensor) -> Tensor | None:
    """ALiBi slopes_H where the mixer's positions ask for them."""
    if mixer.config.positions != "alibi":
        return None
    return alibi_slopes(mixer.config.n_heads, like_BHTK.dtype, like_BHTK.device)


def attention_cost(config: AttentionConfig, batch: int, n_scores: int) -> Cost:
    """`n_scores` pairs of query and key a head, computed and used, masked ones too; softmax at 5 FLOPs a score.

    A cap takes 6 more: a tanh at 5, a product.
    """
    scores = batch * config.n_heads * n_scores
    return Cost(4 * scores * config.head_dim, (5 if config.score_cap is None else 11) * scores, 0)


def fill_kv_heads(values: Any) -> Any:
    """Left out, n_kv_heads is n_heads: multi-head attention."""
    if isinstance(values, dict) and values.get("n_kv_heads") is None and isinstance(values.get("n_heads"), int):
        return {**values, "n_kv_heads": values["n_heads"]}
    return values
