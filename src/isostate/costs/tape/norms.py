"""Both norms on a tape, of rows or of heads."""

from __future__ import annotations

from isostate.costs.tape.operations import FLOAT32, gradient
from isostate.costs.tape.tape import TOKENS, Tape, Value


def rms_norm(tape: Tape, x: Value, rows: int, name: str, strided: bool = False, n_gains: int | None = None) -> Value:
    """That of `mixers/normalisation.py`. `strided`: x is a part of something wider, of which it takes a copy.

    A row has a gain an element, unless rows differ in theirs: then `n_gains` counts them all.
    """
    held = tape.new(x.size, f"{name} input") if strided else x.storage
    inverse = tape.new(rows, f"{name} inverse root mean square")
    y = tape.value(x.size, f"{name} output")
    kept = tape.keep(held, inverse)
    tape.free(inverse, *([held] if strided else []))

    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(y)
        contiguous = [tape.new(x.size, "gradient, contiguous")] if given.layout != TOKENS else []
        unit = tape.new(x.size, "normalised")
        weighted = tape.new(x.size, "gradient times normalised")
        dgain = tape.new(n_gains or x.size // rows, "gradient of a gain")
        tape.free(weighted)
        dunit = tape.new(x.size, "gradient of normalised")
        weighted = tape.new(x.size, "gradient times normalised")
        along = tape.new(rows, "gradient along the input")
        tape.free(weighted)
        arriving = gradient(tape, x)
        tape.free(unit, dunit, along, *contiguous)
        tape.done(given, kept)
        tape.arrive(x, arriving)
        tape.free(dgain)

    tape.node(back)
    return y


def layer_norm(tape: Tape, x: Value, rows: int, name: str) -> Value:
    """torch's own; mean and deviation have the model's dtype."""
    width = x.size // rows
    before = tape.keep(x.storage)
    y = tape.value(x.size, f"{name} output")
    mean, deviation = tape.new(rows, f"{name} mean"), tape.new(rows, f"{name} inverse deviation")
    after = tape.keep(mean, deviation)
    tape.free(mean, deviation)

    def back() -> None:
        tape.unpack(before)
        given = tape.gradient_of(y)
        arriving = gradient(tape, x)
        fresh = [tape.new(width, "gradient of a gain"), tape.new(width, "gradient of a bias")]
        contiguous = [tape.new(x.size, "gradient, contiguous")] if given.layout != TOKENS else []
        tape.passing(2 * tape.n_threads * width, FLOAT32)
        tape.free(*contiguous)
        tape.done(given, before, after)
        tape.arrive(x, arriving)
        tape.free(*fresh)

    tape.node(back)
    return y
