"""Mamba on a tape, from the empty state: `mixers/mamba.py`, and of `mixers/scan.py` the chunked form by its kernel.

Where no kernel can be built the scan runs in torch and takes a few chunks of all its states more; that is not told.
"""

from __future__ import annotations

from isostate.costs.tape.operations import convolution, gradient, linear, pointwise, split
from isostate.costs.tape.projections import Table
from isostate.costs.tape.tape import Storage, Tape, Value
from isostate.mixers import Form
from isostate.mixers.mamba import MambaConfig
from isostate.mixers.scan import CHUNK
from isostate.mixers.scan_kernel import CHANNELS


def mamba(
    tape: Tape, config: MambaConfig, x: Value, batch: int, context: int, form: Form
) -> tuple[Value, list[Storage]]:
    """The mixer's output, and the storages of its state."""
    assert form == "chunked", f"the tape tells no {form} form of {config.family}"
    rows, wide = batch * context, config.inner
    whole = linear(tape, x, rows, config.d_model, 2 * wide, config.bias != "none", "x and z")
    inner, z = split(tape, whole, [rows * wide, rows * wide])
    tape.free(whole)
    taps = config.conv_taps
    convolved, past = convolution(tape, inner, batch, context, wide, taps, copied_taps=True, bias=config.conv_bias)
    active = pointwise(tape, [convolved], [convolved.storage], "x of the scan")
    tape.free(convolved)
    chosen = linear(tape, active, rows, wide, sum(config.selected), False, "step, B and C")
    parts = split(tape, chosen, [rows * size for size in config.selected])
    tape.free(chosen)
    raw = _steps(tape, config, parts[0], rows)
    dt = pointwise(tape, [raw], [raw.storage], "steps")
    tape.free(raw)
    y, last = _scanned(tape, config, (active, dt, parts[1], parts[2]), batch, context)
    opened = pointwise(tape, [z], [z.storage], "gate")
    gated = pointwise(tape, [y, opened], [y.storage, opened.storage], "gated reading")
    tape.free(opened)
    out = linear(tape, gated, rows, wide, config.d_model, config.bias == "all", "mixer output")
    tape.free(gated, y, dt, active, inner, z, *parts)
    return out, [last, past]


def backward_flops(config: MambaConfig, inner: int, batch: int, context: int, form: Form) -> int:
    """The scan multiplies no matrices."""
    return 0


def tables(config: MambaConfig, context: int, element_bytes: int) -> list[Table]:
    """None: nothing is shared."""
    return []


def _steps(tape: Tape, config: MambaConfig, d: Value, rows: int) -> Value:
    """The step projection of a part of wider rows: a product, then its bias in place; one row is whole."""
    if rows == 1:
        return linear(tape, d, rows, config.rank, config.inner, True, "raw steps")
    product = linear(tape, d, rows, config.rank, config.inner, False, "raw steps")
    biased = tape.view(product)

    def back() -> None:
        given = tape.gradient_of(biased)
        tape.passing(config.inner)
        tape.arrive(product, given)

    tape.node(back)
    tape.free(product)
    return biased


def _scanned(
    tape: Tape, config: MambaConfig, inputs: tuple[Value, Value, Value, Value], batch: int, context: int
) -> tuple[Value, Storage]:
    """`scan.chunked` of x, dt, B and C: what is read, and the last state."""
    wide, states = config.inner, config.inner * config.d_state
    positive = tape.value(states, "exp of A_log")
    kept_exp = tape.keep(positive.storage)
    rates = tape.value(states, "A")

    def back_to_parameter() -> None:
        """Minus, then exp: each makes a gradient."""
        tape.unpack(kept_exp)
        given = tape.gradient_of(rates)
        negated = tape.new(states, "gradient of exp of A_log")
        tape.free(given)
        fresh = tape.new(states, "gradient of A_log")
        tape.done(negated, kept_exp)
        tape.free(fresh)

    tape.node(back_to_parameter)
    tape.free(positive)
    n_states = -(-context // CHUNK) + 1
    between = tape.new(batch * n_states * states, "states between chunks")
    y = tape.value(batch * context * wide, "what the scan read")
    last = tape.new(batch * states, "state")
    kept = tape.keep(*(value.storage for value in (*inputs[:2], rates, *inputs[2:])), between)
    tape.free(between, rates)
    n_units = -(-wide // CHANNELS)
    shared = batch * context * config.d_state

    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(y)
        carry = tape.new(batch * states, "carried gradient of the state")
        arriving = [gradient(tape, inputs[0]), gradient(tape, inputs[1])]
        apart = [tape.new(batch * states, "gradients of A"), tape.new(batch * wide, "gradients of D")]
        apart += [tape.new(n_units * shared, f"gradients of {name}") for name in "BC"]
        rate = tape.new(states, "gradient of A")
        arriving += [gradient(tape, inputs[2]), gradient(tape, inputs[3])]
        skip = tape.new(wide, "gradient of D")
        tape.free(*apart)
        tape.done(given, kept)
        tape.free(carry, skip)
        for value, fresh in zip((*inputs, rates), (*arriving, rate), strict=True):
            tape.arrive(value, fresh)

    tape.node(back)
    return y, last
