"""Attention on a tape: torch's fused kernel, its attention of plain matmuls, and our own, which holds all scores.

What lies beneath torch's two was read off its allocator and its kernel (ATen/native/cpu/FlashAttentionKernel.cpp).
"""

from __future__ import annotations

from isostate.costs.tape.operations import (
    BOOL,
    FLOAT32,
    INT64,
    capped,
    converted,
    copied,
    dropped,
    gradient,
    moved,
    pointwise,
    pointwise_of_result,
    reshaped,
    shifted,
)
from isostate.costs.tape.projections import Heads, by_head, per_query_head
from isostate.costs.tape.tape import HEADS, PART, TURNED, Storage, Tape, Value
from isostate.mixers.softmax import AttentionConfig
from isostate.mixers.window import WindowConfig


def fused(tape: Tape, q: Value, k: Value, v: Value, heads: Heads, n_keys: int, bias: Storage | None = None) -> Value:
    """The flash kernel for CPUs: no matrix of scores, but a piece in each thread. Its result lies by position."""
    queries = q.size // (heads.B * heads.H * heads.K)
    rows = min(queries, 256 if queries >= 768 else 64 if queries >= 192 else 32)
    piece = rows * min(512, n_keys) * tape.n_threads
    reduced = tape.element_bytes < FLOAT32  # then the piece is needed in both precisions
    before = tape.keep(q.storage, k.storage, v.storage, *([bias] if bias else []))
    y = tape.value(q.size, "what attention read")
    logsumexp = tape.new(heads.B * heads.H * queries, "log of the sums of weights", FLOAT32)
    scratch = [tape.new(piece + tape.n_threads * rows * (heads.K + 2), "scores of a piece", FLOAT32)]
    scratch += [tape.new(piece, "weights of a piece")] if reduced else []
    tape.free(*scratch)
    after = tape.keep(y.storage, logsumexp)
    tape.free(logsumexp)

    def back() -> None:
        tape.unpack(before)
        given = tape.gradient_of(y)
        arriving = [gradient(tape, x) for x in (q, k, v)]
        scratch = [tape.new(y.size, "gradient, contiguous")] if given.layout == PART else []
        scratch.append(tape.new(2 * piece, "scores of a piece and their gradient", FLOAT32))
        scratch += [tape.new(2 * piece, "the same, reduced")] if reduced else []
        tape.passing(tape.n_threads * rows, FLOAT32)
        tape.free(*scratch)
        tape.done(given, before, after)
        for x, fresh in zip((q, k, v), arriving, strict=True):
            tape.arrive(x, fresh)

    tape.node(back)
    return y


def unfused(tape: Tape, q: Value, k: Value, v: Value, heads: Heads, n_keys: int, bias: Storage | None = None) -> Value:
    """What torch does where weights are dropped: plain matmuls, in float32 whatever the model's dtype."""
    queries = q.size // (heads.B * heads.H * heads.K)
    n_scores = heads.B * heads.H * queries * n_keys
    given_bytes = q.element_bytes
    q, k, v = (converted(tape, x, FLOAT32, f"float32 {x.storage.name}") for x in (q, k, v))
    seen = [reshaped(tape, x) for x in (k, v)]
    tape.free(k, v)
    k, v = seen
    scaled_q = pointwise(tape, [q], [], "scaled queries")
    mask = [] if bias else [_causal_mask(tape, queries, n_keys)]
    scaled_k = pointwise(tape, [k], [], "scaled keys")
    lie_by_head = heads.G < heads.H  # repeated keys and values do already
    q_copy = copied(tape, scaled_q, "scaled queries by head") if heads.copies else tape.also(scaled_q)
    k_copy = copied(tape, scaled_k, "scaled keys by head") if heads.copies and not lie_by_head else tape.also(scaled_k)
    scores = product(tape, q_copy, k_copy, n_scores, "scores", heads, turned=True)
    tape.free(q_copy, k_copy, scaled_k)
    weights = pointwise_of_result(tape, scores, "attention weights")
    unseen = tape.new(n_scores, "which weights are of nothing", BOOL)
    tape.passing(n_scores // n_keys, BOOL)
    tape.free(unseen, scores)
    kept_weights = dropped(tape, weights, "attention weights")
    tape.free(weights)
    v_copy = copied(tape, v, "values by head") if heads.copies and not lie_by_head else tape.also(v)
    y = product(tape, kept_weights, v_copy, q.size, "what attention read", heads)
    tape.free(kept_weights, v_copy, scaled_q, *mask, q, k, v)
    out = converted(tape, y, given_bytes, "what attention read")
    tape.free(y)
    return out


def dense(
    tape: Tape, config: AttentionConfig, q: Value, k: Value, v: Value, heads: Heads, n_keys: int, window: bool
) -> Value:
    """`attend_densely`, of queries and as many keys: all scores, biased and kept once as weights."""
    repeated = heads.G < heads.H
    k, v = per_query_head(tape, k, heads, "keys"), per_query_head(tape, v, heads, "values")
    queries = q.size // (heads.B * heads.H * heads.K)
    sinks = min(config.sinks, n_keys) if isinstance(config, WindowConfig) else 0
    bias = causal_bias(tape, queries, n_keys, heads.H * (config.positions == "alibi"), window, sinks)
    scaled = pointwise(tape, [q], [], "scaled queries")
    q_copy = copied(tape, scaled, "scaled queries by head") if heads.copies and queries > 1 else tape.also(scaled)
    k_copy = copied(tape, k, "keys by head") if heads.copies and not repeated else tape.also(k)
    n_scores = heads.B * heads.H * queries * n_keys
    scores = product(tape, q_copy, k_copy, n_scores, "scores", heads, turned=True)
    tape.free(q_copy, k_copy, scaled)
    if config.score_cap is not None:
        whole, scores = scores, capped(tape, scores, "scores")
        tape.free(whole)
    biased = shifted(tape, scores, "biased scores")
    tape.free(scores)
    weights = pointwise_of_result(tape, biased, "attention weights")
    y = weighted_values(tape, config, weights, v, q.size, heads)
    tape.free(biased, bias, k, v)
    return y


def weighted_values(tape: Tape, config: AttentionConfig, weights: Value, v: Value, size: int, heads: Heads) -> Value:
    """The weights, some dropped or none, times the values; frees the weights."""
    lie_by_head = heads.G < heads.H
    if config.attention_dropout:
        whole, weights = weights, dropped(tape, weights, "attention weights")
        tape.free(whole)
    v_copy = tape.also(v) if lie_by_head or not heads.copies else copied(tape, v, "values by head")
    y = product(tape, weights, v_copy, size, "what attention read", heads)
    tape.free(weights, v_copy)
    return y


def product(
    tape: Tape, a: Value, b: Value, size: int, name: str, heads: Heads, turned: bool = False, bands: bool = False
) -> Value:
    """A batch of matmuls, a @ b, or a @ b^T. A gradient that comes position by position is copied first."""
    layout = by_head(heads.T, heads.H, heads.K)
    copies = heads.H > 1 if bands else heads.copies
    kept = tape.keep(a.storage, b.storage)
    y = tape.value(size, name, a.element_bytes)

    def back() -> None:
        given = tape.gradient_of(y)
        if given.layout != HEADS and copies:
            given = moved(tape, given, y, HEADS)
        tape.unpack(kept)
        b_gradient, a_gradient = gradient(tape, b, TURNED if turned else layout), gradient(tape, a, layout)
        tape.done(given, kept)
        tape.arrive(b, b_gradient)
        tape.arrive(a, a_gradient)

    tape.node(back)
    return y


def causal_bias(tape: Tape, queries: int, keys: int, n_slopes: int, window: bool, sinks: int = 0) -> Storage:
    """What is added to the scores: `n_slopes` heads' distances, or, where that is 0, one mask for all."""
    n_pairs = queries * keys
    position = tape.new(queries, "positions", INT64)
    other = tape.new(keys, "positions", INT64)
    distance = tape.new(n_pairs, "distances", INT64)
    tape.free(other)
    unseen = tape.new(n_pairs, "which positions are not seen", BOOL)
    if window:
        parts = [unseen, tape.new(n_pairs, "which are too far", BOOL)]
        unseen = tape.new(n_pairs, "which positions are not seen", BOOL)
        tape.free(*parts)
    tape.passing(queries * sinks, BOOL)
    bias = tape.new(n_pairs, "zero bias")
    if n_slopes:
        zero, same = bias, tape.new(n_pairs, "distances, converted")
        bias = tape.new(n_slopes * n_pairs, "slopes times distances")
        tape.free(zero, same)
    masked = tape.new((n_slopes or 1) * n_pairs, "bias of the scores")
    tape.free(position, distance, unseen, bias)
    return masked


def _causal_mask(tape: Tape, queries: int, keys: int) -> Storage:
    """The one that torch's own attention adds."""
    ones = tape.new(queries * keys, "ones", BOOL)
    causal = tape.new(queries * keys, "causal mask", BOOL)
    tape.free(ones)
    bias = tape.new(queries * keys, "causal bias", FLOAT32)
    tape.free(causal)
    return bias
