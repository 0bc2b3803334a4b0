"""Mamba-2 on a tape, in its chunked form, from the empty state: `mixers/mamba2.py`."""

from __future__ import annotations

from isostate.costs.tape.chunks import Chunks
from isostate.costs.tape.engine_kernel import engine, runs_engine
from isostate.costs.tape.linear_family import biased, engine_backward_flops, from_empty, map_tables
from isostate.costs.tape.norms import rms_norm
from isostate.costs.tape.operations import BOOL, add, convolution, gradient, linear, pointwise, split, unflattened
from isostate.costs.tape.projections import Heads, Table, by_head
from isostate.costs.tape.tape import TOKENS, Storage, Tape, Value
from isostate.mixers import Form
from isostate.mixers.mamba2 import Mamba2Config


def mamba2(
    tape: Tape, config: Mamba2Config, x: Value, batch: int, context: int, form: Form
) -> tuple[Value, list[Storage]]:
    """The mixer's output, and the storages of its state."""
    assert form == "chunked", f"the tape tells no {form} form of {config.family}"
    rows, inner, n_heads, keys = batch * context, config.inner, config.n_heads, config.n_groups * config.d_state
    wide = inner + config.convolved + n_heads
    whole = linear(tape, x, rows, config.d_model, wide, config.bias != "none", "z, x, B, C and steps")
    z, taken, d = split(tape, whole, [rows * inner, rows * config.convolved, rows * n_heads])
    options = {"copied_taps": True, "bias": config.conv_bias}
    mixed, past = convolution(tape, taken, batch, context, config.convolved, config.conv_taps, **options)
    active = pointwise(tape, [mixed], [mixed.storage], "x, B and C")
    tape.free(whole, mixed, taken)
    flat = split(tape, active, [rows * inner, rows * keys, rows * keys])
    v, step = unflattened(tape, flat[0]), _step(tape, config, d)
    heads = Heads(batch, context, n_heads, config.n_groups, config.d_state)
    own = runs_engine(tape.kernels, tape.element_bytes)
    q, k = (
        unflattened(tape, x) if own else _by_heads(tape, x, heads, name) for x, name in ((flat[2], "C"), (flat[1], "B"))
    )
    values = _times(tape, v, step, "x times steps")
    log_gate = _log_gate(tape, config, step)
    sizes = Chunks.sized(
        *(batch, n_heads, context, config.head_dim, config.feature_map, config.chunk),
        normalised=False,
        decaying=True,
        gated=True,
    )
    if own:
        y, state = engine(tape, sizes, config.n_groups, config.chunk, q, k, values, log_gate)
    else:
        y, state = from_empty(tape, sizes, TOKENS, q, k, values, log_gate)
    tape.free(q, k, values, log_gate)
    skipped = _times(tape, v, None, "x times D", config.n_heads)
    summed = add(tape, skipped, y, "what the mixer read, and D x")
    tape.free(skipped)
    opened = pointwise(tape, [z], [z.storage], "silu of z")
    gated = pointwise(tape, [summed, opened], [summed.storage, opened.storage], "what the mixer read, gated")
    tape.free(opened)
    normed = rms_norm(tape, gated, rows * config.n_groups, "gated norm", n_gains=inner)
    tape.free(gated)
    out = linear(tape, normed, rows, inner, config.d_model, config.bias == "all", "mixer output")
    tape.free(normed, summed, y, step, d, v, *flat, active, z)
    return out, [*state, past]


def backward_flops(config: Mamba2Config, forward: int, batch: int, context: int, form: Form) -> int:
    """The engine's."""
    sizes = (config.feature_map, config.head_dim, batch * config.n_heads, context)
    return engine_backward_flops(*sizes, form, config.chunk)


def tables(config: Mamba2Config, context: int, element_bytes: int) -> list[Table]:
    """The weights of the monomials, all of them one."""
    return map_tables(config.feature_map)


def _step(tape: Tape, config: Mamba2Config, d: Value) -> Value:
    raised = biased(tape, d, config.n_heads, "steps, biased")
    step = pointwise(tape, [raised], [raised.storage], "steps")
    tape.free(raised)
    if config.step_limits is None:
        return step
    kept, free_step, step = tape.keep(step.storage), step, tape.value(step.size, "steps within their limits")
    tape.free(free_step)

    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(step)
        masks = [tape.new(step.size, "within a limit", BOOL) for _ in range(2)]
        arriving = gradient(tape, free_step)
        tape.free(*masks)
        tape.done(given, kept)
        tape.arrive(free_step, arriving)

    tape.node(back)
    return step


def _by_heads(tape: Tape, x: Value, heads: Heads, name: str) -> Value:
    """B or C for each head: a view, unless some heads share theirs and others do not."""
    grouped = unflattened(tape, x)
    if heads.G == heads.H:
        return grouped
    size, layout = x.size * heads.H // heads.G, by_head(heads.T, heads.G, heads.K)
    y = tape.view(grouped, size) if heads.G == 1 else tape.value(size, f"{name} by head")

    def back() -> None:
        given = tape.gradient_of(y)
        arriving = gradient(tape, grouped, TOKENS if heads.G == 1 else layout)
        tape.free(given)
        tape.arrive(grouped, arriving)

    tape.node(back)
    tape.free(grouped)
    return y


def _times(tape: Tape, x: Value, factor: Value | None, name: str, n_own: int = 0) -> Value:
    """x times a factor a head: steps, or as many parameters as are given."""
    kept = tape.keep(x.storage, *([factor.storage] if factor else []))
    y = tape.value(x.size, name)

    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(y)
        arriving, weighted = gradient(tape, x, given.layout), tape.new(x.size, "gradient times x")
        tape.used(kept)
        summed = tape.new(factor.size if factor else n_own, f"gradient of {name}")
        tape.free(weighted)
        tape.done(given, kept)
        tape.arrive(x, arriving)
        if factor is None:
            tape.free(summed)
        else:
            tape.arrive(factor, summed)

    tape.node(back)
    return y


def _log_gate(tape: Tape, config: Mamba2Config, step: Value) -> Value:
    """Steps times -exp(A_log)."""
    n_heads = config.n_heads
    speed = tape.new(n_heads, "speeds of decay")
    kept_speed = tape.keep(speed)
    rate = tape.new(n_heads, "minus the speeds of decay")
    tape.free(speed)
    kept = tape.keep(step.storage, rate)
    log_gate = tape.value(step.size, "log of the decays")
    tape.free(rate)

    def back() -> None:
        tape.unpack(kept_speed)
        given = tape.gradient_of(log_gate)
        arriving, weighted = gradient(tape, step), tape.new(step.size, "gradient times steps")
        tape.used(kept)
        summed = tape.new(n_heads, "gradient of the speeds")
        tape.free(weighted)
        tape.done(given, kept)
        tape.arrive(step, arriving)
        for kept_here in ((), (kept_speed,)):  # minus, then exp
            before, summed = summed, tape.new(n_heads, "gradient of the speeds")
            tape.done(before, *kept_here)
        tape.free(summed)

    tape.node(back)
    return log_gate
