"""Window attention on a tape, from the empty cache: the forms of `mixers/window.py`."""

from __future__ import annotations

from isostate.costs.tape.operations import capped, copied, gradient, pointwise, pointwise_of_result, shifted, sliced
from isostate.costs.tape.projections import Heads, Read, by_head, per_query_head, projected
from isostate.costs.tape.scores import causal_bias, dense, product, weighted_values
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
        if form == "parallel" or context <= 2 * block:
            y, in_tokens = dense(tape, config, q, k, v, heads, context, window=True), heads.H == 1
        else:
            y, in_tokens = _banded(tape, config, q, k, v, heads, block), False
        return Read(y, in_tokens, [tape.also(k).storage, tape.also(v).storage])

    return projected(tape, config, x, heads, 0, attend)


def backward_flops(config: WindowConfig, forward: int, batch: int, context: int, form: Form) -> int:
    """A product for each operand's gradient."""
    return 2 * forward


def _banded(tape: Tape, config: WindowConfig, q: Value, k: Value, v: Value, heads: Heads, block: int) -> Value:
    """Blocks of positions, each against itself and the one before."""
    B, T, H, _, K = heads
    n_blocks = -(-T // block)
    padded, layout = n_blocks * block, by_head(T, H, K)
    behind = [copied(tape, x, f"{x.storage.name} behind the cache") for x in (k, v)]
    blocks = []
    for x, name in zip(behind, ("keys", "values"), strict=True):
        repeated = per_query_head(tape, x, heads, name)
        blocks.append(copied(tape, repeated, f"padded {name}", B * H * (padded + block) * K, layout))
        tape.free(repeated)
    tape.free(*behind)
    k_pairs, v_pairs = (_pairs(tape, x, B * H * padded * 2 * K) for x in blocks)
    scaled = pointwise(tape, [q], [], "scaled queries")
    q_blocks = copied(tape, scaled, "padded queries", B * H * padded * K, layout)
    tape.free(scaled)
    one = causal_bias(tape, block, 2 * block, H * (config.positions == "alibi"), window=True)
    bias = tape.new(one.nbytes // tape.element_bytes * n_blocks, "bias of the scores")
    tape.free(one)
    copies = H > 1 and padded == T  # padding copied them by head
    q_copy = copied(tape, q_blocks, "queries by head") if copies else tape.also(q_blocks)
    n_scores = B * H * padded * 2 * block
    scores = product(tape, q_copy, k_pairs, n_scores, "scores", heads, turned=True, bands=True)
    tape.free(q_copy)
    if config.score_cap is not None:
        whole, scores = scores, capped(tape, scores, "scores")
        tape.free(whole)
    biased = shifted(tape, scores, "biased scores")
    tape.free(scores)
    weights = pointwise_of_result(tape, biased, "attention weights")
    tape.free(biased)
    y = weighted_values(tape, config, weights, v_pairs, B * H * padded * K, heads, bands=True)
    tape.free(bias, q_blocks, k_pairs, v_pairs, *blocks)
    if padded == T:
        return y
    part = sliced(tape, y, heads.wide, HEADS)
    tape.free(y)
    return part


def _pairs(tape: Tape, x: Value, size: int) -> Value:
    """Each block joined to the one before; x is the blocks, an empty one first."""
    y = tape.value(size, x.storage.name + ", in pairs")

    def back() -> None:
        given = tape.gradient_of(y)
        earlier, later = gradient(tape, x, HEADS), gradient(tape, x, HEADS)
        tape.free(given)
        tape.arrive(x, earlier)
        tape.arrive(x, later)

    tape.node(back)
    return y
