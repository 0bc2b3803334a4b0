"""Window attention on a tape, from the empty cache: the forms of `mixers/window.py`."""

from __future__ import annotations

from isostate.costs.tape.attention_kernel import attention, runs_attention
from isostate.costs.tape.operations import (
    BOOL,
    INT64,
    capped,
    copied,
    dropped,
    gradient,
    pointwise,
    pointwise_of_result,
    shifted,
    sliced,
)
from isostate.costs.tape.projections import Heads, Read, by_head, per_query_head, projected
from isostate.costs.tape.scores import causal_bias, dense, product
from isostate.costs.tape.tape import HEADS, Storage, Tape, Value
from isostate.mixers import Form
from isostate.mixers.window import WindowConfig, block_size


def window(
    tape: Tape, config: WindowConfig, x: Value, batch: int, context: int, form: Form
) -> tuple[Value, list[Storage]]:
    """The mixer's output, and the storages of its state."""
    heads = Heads(batch, context, config.n_heads, config.n_kv_heads, config.head_dim)
    block = block_size(config.window)

    def attend(tape: Tape, q: Value, k: Value, v: Value, gate: Value) -> Read:
        if form == "chunked" and runs_attention(config, tape.kernels, tape.element_bytes):
            y, in_tokens = attention(tape, q, k, v, heads), True
        elif form == "parallel" or context <= 2 * block + config.sinks:
            y, in_tokens = dense(tape, config, q, k, v, heads, context, window=True), heads.H == 1
        else:
            y, state = _banded(tape, config, q, k, v, heads, block)
            return Read(y, False, state)
        return Read(y, in_tokens, _remembered(tape, config, k, v, heads))

    return projected(tape, config, x, heads, 0, attend)


def backward_flops(config: WindowConfig, forward: int, batch: int, context: int, form: Form) -> int:
    """A product for each operand's gradient."""
    return 2 * forward


def _banded(
    tape: Tape, config: WindowConfig, q: Value, k: Value, v: Value, heads: Heads, block: int
) -> tuple[Value, list[Storage]]:
    """Blocks of positions, each against itself and the one before; also what the state after them holds."""
    B, T, H, _, K = heads
    n_blocks = -(-T // block)
    padded, layout = n_blocks * block, by_head(T, H, K)
    behind = [copied(tape, x, f"{x.storage.name} behind the cache") for x in (k, v)]
    whole = [per_query_head(tape, x, heads, name) for x, name in zip(behind, ("keys", "values"), strict=True)]
    tape.free(*behind)
    pairs = []
    for x in whole:
        blocks = copied(tape, x, f"padded {x.storage.name}", B * H * (padded + block) * K, layout)
        pairs.append(_pairs(tape, blocks, x, B * H * K, n_blocks, block, config.sinks))
        tape.free(blocks)
    k_pairs, v_pairs = pairs
    scaled = pointwise(tape, [q], [], "scaled queries")
    q_blocks = copied(tape, scaled, "padded queries", B * H * padded * K, layout)
    tape.free(scaled)
    one = causal_bias(tape, block, 2 * block, H * (config.positions == "alibi"), window=True)
    bias = tape.new(one.nbytes // tape.element_bytes * n_blocks, "bias of the scores")
    tape.free(one)
    if config.sinks:
        bias = _sink_bias(tape, bias, padded, config.sinks, H * (config.positions == "alibi"))
    keys, copies = 2 * block + config.sinks, H > 1 and padded == T  # padding copied them by head
    q_copy = copied(tape, q_blocks, "queries by head") if copies else tape.also(q_blocks)
    n_scores = B * H * padded * keys
    scores = product(tape, q_copy, k_pairs, n_scores, "scores", heads, turned=True, bands=True)
    tape.free(q_copy)
    if config.score_cap is not None:
        plain, scores = scores, capped(tape, scores, "scores")
        tape.free(plain)
    biased = shifted(tape, scores, "biased scores")
    tape.free(scores)
    weights = pointwise_of_result(tape, biased, "attention weights")
    tape.free(biased)
    if config.attention_dropout:
        plain, weights = weights, dropped(tape, weights, "attention weights")
        tape.free(plain)
    y = product(tape, weights, v_pairs, B * H * padded * K, "what attention read", heads, bands=True)
    if padded > T:
        all_blocks, y = y, sliced(tape, y, heads.wide, HEADS)
        tape.free(all_blocks)
    state = _remembered(tape, config, k, v, heads)
    tape.free(weights, bias, q_blocks, k_pairs, v_pairs, *whole)
    return y, state


def _remembered(tape: Tape, config: WindowConfig, k: Value, v: Value, heads: Heads) -> list[Storage]:
    """Keys and values of the state: a view of all, unless the sinks are joined to those of the window."""
    if not config.sinks or config.sinks + config.window >= heads.T:
        return [tape.also(k).storage, tape.also(v).storage]
    held = heads.B * heads.G * (config.sinks + config.window) * heads.K
    return [tape.new(held, f"{name} of sinks and window") for name in ("keys", "values")]


def _pairs(tape: Tape, x: Value, whole: Value, row: int, n_blocks: int, block: int, sinks: int) -> Value:
    """Each block joined to the one before, and to the sinks; x is the blocks, an empty one first, `whole` all keys."""
    y = tape.value(row * n_blocks * (2 * block + sinks), x.storage.name + ", in pairs")

    def back() -> None:
        given = tape.gradient_of(y)
        summed = [tape.new(row * sinks, "gradient of the sinks")] if sinks else []
        earlier, later = gradient(tape, x, HEADS), gradient(tape, x, HEADS)
        tape.free(given)
        tape.arrive(x, earlier)
        tape.arrive(x, later)
        if sinks:
            arriving = gradient(tape, whole, HEADS)
            tape.free(*summed)
            tape.arrive(whole, arriving)

    tape.node(back)
    return y


def _sink_bias(tape: Tape, bias: Storage, queries: int, sinks: int, n_slopes: int) -> Storage:
    """The bias of the blocks, joined to that of the sinks."""
    position, sink = tape.new(queries, "positions", INT64), tape.new(sinks, "sinks", INT64)
    distance = tape.new(queries * sinks, "distances", INT64)
    tape.free(sink)
    zero = tape.new(queries * sinks, "zero bias")
    if n_slopes:
        before = [zero, tape.new(n_slopes, "minus the slopes"), tape.new(queries * sinks, "distances, converted")]
        zero = tape.new(n_slopes * queries * sinks, "slopes times distances")
        tape.free(*before)
    near = tape.new(queries * sinks, "which sinks the blocks have", BOOL)
    masked = tape.new((n_slopes or 1) * queries * sinks, "bias of the sinks")
    tape.free(near, position, distance, zero)
    joined = tape.new((masked.nbytes + bias.nbytes) // tape.element_bytes, "bias of the scores")
    tape.free(masked, bias)
    return joined
