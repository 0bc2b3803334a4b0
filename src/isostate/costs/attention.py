"""Attention by formula: multi-, grouped- and single-query, windowed, cross, and multi-head latent attention.

self    scores and reading: 2 pairs H (K + V); the state is 2 G K elements a token and layer (FORMULAS section 2)
latent  the cache holds one compressed vector and one rotary key a token: kv_rank + rope_dim (DeepSeek-V2, section
        2.1). Prefill expands it to keys and values; decode absorbs the expansion into query and output instead,
        at the same FLOPs a new token, and multiplies the cache itself: 2 pairs H (2 kv_rank + rope_dim).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from isostate.costs.sublayer import (
    NORM_FLOPS,
    ROTARY_FLOPS,
    SOFTMAX_FLOPS,
    Linear,
    Run,
    Size,
    Sublayer,
    linear_operator,
)
from isostate.quantities import Cost, Operator

Positions = Literal["none", "rope", "alibi", "transformer-xl"]


class Attention(Sublayer):
    """Self-attention. `n_kv_heads` left out is `n_heads`; 1 is multi-query attention.

    `transformer-xl` positions (Dai et al. 2019, section 3.3) add a projection of the distances, as wide as all heads,
    and two biases of the queries: one more product a pair. `banded` says that the paper keeps only a band of the
    scores; all are counted.
    """

    kind: Literal["attention"] = "attention"
    n_heads: Size
    n_kv_heads: Size
    head_dim: Size
    window: Size | None = None
    causal: bool = True
    banded: bool = False
    positions: Positions = "none"
    bias: Literal["none", "qkv", "out", "all"] = "none"
    qk_norm: Literal["none", "rms", "layer"] = "none"  # over each head, one gain (and bias) for all heads

    part: ClassVar[str] = "attention"
    state_formula: ClassVar[str] = "2 H (K + V) min(S, w)"

    @model_validator(mode="before")
    @classmethod
    def _fill_kv_heads(cls, values: Any) -> Any:
        return _fill_kv_heads(values)

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        _check_groups(self.n_heads, self.n_kv_heads)
        return self

    @property
    def wide(self) -> int:
        return self.n_heads * self.head_dim

    @property
    def narrow(self) -> int:
        return self.n_kv_heads * self.head_dim

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        return (
            Linear("attention.qkv", d_model, self.wide + 2 * self.narrow, self.bias in {"qkv", "all"}),
            Linear("attention.out", self.wide, d_model, self.bias in {"out", "all"}),
        )

    def n_other_params(self, d_model: int) -> int:
        relative = d_model * self.wide + 2 * self.wide if self.positions == "transformer-xl" else 0
        return relative + {"none": 0, "rms": 2, "layer": 4}[self.qk_norm] * self.head_dim

    def state_parts(self, d_model: int, context: int) -> dict[str, int]:
        if not self.causal:
            return {}
        kept = self.narrow * (context if self.window is None else min(self.window, context))
        return {"keys": kept, "values": kept}

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        rotated = ROTARY_FLOPS if self.positions == "rope" else 0
        normed = NORM_FLOPS if self.qk_norm != "none" else 0
        other = run.n_tokens * (self.wide + self.narrow) * (rotated + normed)
        products = 3 if self.positions == "transformer-xl" else 2
        pairs = run.batch * run.n_pairs(self.window, self.causal)
        kept, row = sum(self.state_parts(d_model, run.context).values()), 2 * (self.wide + self.narrow)
        scores = _scores(self.n_heads, products * self.head_dim, pairs, other, row, kept, run)
        return [scores, *self._distances(d_model, run)]

    def _distances(self, d_model: int, run: Run) -> list[Operator]:
        """The projection of all distances, once a layer for the whole batch; decoding keeps them projected."""
        if self.positions != "transformer-xl" or run.phase == "decode":
            return []
        return [linear_operator(Linear("attention.distances", d_model, self.wide), run.context, run)]

    def vectors(self, d_model: int, run: Run) -> list[Operator]:
        """Without the projection of the distances, which `mixing` reads."""
        n_distances = d_model * self.wide if self.positions == "transformer-xl" else 0
        read = run.weight_bytes(self.n_other_params(d_model) - n_distances)
        return [Operator("vectors", Cost(moved_bytes=read), weight_bytes=read)] if read else []

    def constant_inputs(self, d_model: int, run: Run) -> int:
        return sum(one.cost.matmul_flops for one in self._distances(d_model, run))


class CrossAttention(Sublayer):
    """Attention of every token to the `memory_length` positions of another sequence, `memory_width` wide."""

    kind: Literal["cross"] = "cross"
    n_heads: Size
    n_kv_heads: Size
    head_dim: Size
    memory_length: Size
    memory_width: Size
    bias: Literal["none", "all"] = "none"

    part: ClassVar[str] = "attention"
    state_formula: ClassVar[str] = "2 H (K + V) S_memory"

    @model_validator(mode="before")
    @classmethod
    def _fill_kv_heads(cls, values: Any) -> Any:
        return _fill_kv_heads(values)

    @model_validator(mode="after")
    def _groups_divide(self) -> Self:
        _check_groups(self.n_heads, self.n_kv_heads)
        return self

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        wide, narrow, bias = self.n_heads * self.head_dim, self.n_kv_heads * self.head_dim, self.bias == "all"
        return (
            Linear("cross.q", d_model, wide, bias),
            Linear("cross.kv", self.memory_width, 2 * narrow, bias),
            Linear("cross.out", wide, d_model, bias),
        )

    def operators(self, d_model: int, run: Run) -> list[Operator]:
        """Keys and values of the memory are made once a sequence: decoding finds them in the state."""
        query, memory, out = self.linears(d_model)
        made = [linear_operator(memory, run.batch * self.memory_length, run)] if run.phase == "prefill" else []
        tokens = [linear_operator(one, run.n_tokens, run) for one in (query, out)]
        return [*tokens, *made, *self.mixing(d_model, run)]

    def state_parts(self, d_model: int, context: int) -> dict[str, int]:
        kept = self.n_kv_heads * self.head_dim * self.memory_length
        return {"keys": kept, "values": kept}

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        pairs, kept = run.n_tokens * self.memory_length, sum(self.state_parts(d_model, run.context).values())
        return [_scores(self.n_heads, 2 * self.head_dim, pairs, 0, 2 * self.n_heads * self.head_dim, kept, run)]


class LatentAttention(Sublayer):
    """Multi-head latent attention; without `q_rank` queries are not compressed. A compression ends in an RMS norm."""

    kind: Literal["mla"] = "mla"
    n_heads: Size
    q_rank: Size | None = None
    kv_rank: Size
    nope_dim: Size
    rope_dim: Size
    value_dim: Size
    bias: bool = False  # of the projections that read the residual stream and write to it; never of full-rank queries

    part: ClassVar[str] = "attention"
    state_formula: ClassVar[str] = "2 H (2 kv_rank + rope_dim) S"

    def linears(self, d_model: int) -> tuple[Linear, ...]:
        queries = self.n_heads * (self.nope_dim + self.rope_dim)
        if self.q_rank is None:
            query: tuple[Linear, ...] = (Linear("attention.q", d_model, queries),)
        else:
            query = (
                Linear("attention.q_down", d_model, self.q_rank, self.bias),
                Linear("attention.q_up", self.q_rank, queries),
            )
        return (
            *query,
            Linear("attention.kv_down", d_model, self.kv_rank + self.rope_dim, self.bias),
            Linear("attention.kv_up", self.kv_rank, self.n_heads * (self.nope_dim + self.value_dim)),
            Linear("attention.out", self.n_heads * self.value_dim, d_model, self.bias),
        )

    def n_other_params(self, d_model: int) -> int:
        return (self.q_rank or 0) + self.kv_rank

    def state_parts(self, d_model: int, context: int) -> dict[str, int]:
        return {"latent": self.kv_rank * context, "keys": self.rope_dim * context}

    def mixing(self, d_model: int, run: Run) -> list[Operator]:
        other = run.n_tokens * ROTARY_FLOPS * (self.n_heads + 1) * self.rope_dim
        other += run.n_tokens * NORM_FLOPS * self.n_other_params(d_model)
        absorbed = run.phase == "decode"
        key = self.rope_dim + (self.kv_rank if absorbed else self.nope_dim)
        value = self.kv_rank if absorbed else self.value_dim
        pairs, kept = run.batch * run.n_pairs(), sum(self.state_parts(d_model, run.context).values())
        row = self.n_heads * (key + value) * (1 if absorbed else 2)
        return [_scores(self.n_heads, key + value, pairs, other, row, kept, run)]


def _scores(n_heads: int, size: int, pairs: int, other: int, row: int, kept: int, run: Run) -> Operator:
    """Scores, softmax and reading of `pairs`, `size` multiplications each a head. No matrix of scores is moved.

    `row`: elements a token of what goes in and comes out. The state, `kept` elements a sequence, is moved once.
    """
    state_bytes = run.batch * run.state_bytes(kept)
    moved = run.activation_bytes(run.n_tokens * row) + state_bytes
    cost = Cost(2 * n_heads * size * pairs, SOFTMAX_FLOPS * n_heads * pairs + other, moved)
    return Operator("attention.scores", cost, state_bytes=state_bytes)


def _fill_kv_heads(values: Any) -> Any:
    if isinstance(values, dict) and values.get("n_kv_heads") is None and "n_heads" in values:
        return {**values, "n_kv_heads": values["n_heads"]}
    return values


def _check_groups(n_heads: int, n_kv_heads: int) -> None:
    if n_heads % n_kv_heads:
        raise ValueError(f"n_kv_heads = {n_kv_heads}: must divide n_heads = {n_heads}; 1 is multi-query attention")
