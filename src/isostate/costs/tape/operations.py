"""The operations of a decoder on a tape: what each allocates, keeps and frees, forward and backward, as torch runs it.

`rows` are batch times positions. What a function returns is a variable's, for the caller to free.
"""

from __future__ import annotations

from collections.abc import Sequence

from isostate.costs.tape.tape import HEADS, PART, TOKENS, Kept, Storage, Tape, Value

FLOAT32, FLOAT64, INT32, INT64, BOOL = 4, 8, 4, 8, 1


def linear(tape: Tape, x: Value, rows: int, n_in: int, n_out: int, bias: bool, name: str) -> Value:
    """x W^T + b; keeps its input."""
    kept = tape.keep(x.storage)
    y = tape.value(rows * n_out, name)

    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(y)
        fresh = [] if bias else [tape.new(n_in * n_out, "gradient of a weight")]
        arriving = gradient(tape, x)
        arriving.viewed = True  # rows come back as batch and positions
        if bias:
            fresh.append(tape.new(n_in * n_out, "gradient of a weight"))
            tape.used(kept)
            fresh.append(tape.new(n_out, "gradient of a bias"))  # summed when the node has run
        tape.done(given, kept)
        tape.arrive(x, arriving)
        tape.free(*fresh)

    tape.node(back)
    return y


def pointwise(
    tape: Tape, inputs: Sequence[Value], keep: Sequence[Storage], name: str, size: int | None = None
) -> Value:
    """A function whose backward makes a gradient of each input, lying as the one that it is given."""
    kept = tape.keep(*keep)
    y = tape.value(inputs[0].size if size is None else size, name, inputs[0].element_bytes)
    _backward_makes_each(tape, inputs, y, kept)
    return y


def pointwise_of_result(tape: Tape, x: Value, name: str) -> Value:
    """The same for a function whose backward needs its result alone, as relu's, softmax's and exp's do."""
    y = tape.value(x.size, name, x.element_bytes)
    kept = tape.keep(y.storage)
    _backward_makes_each(tape, [x], y, kept)
    return y


def squared(tape: Tape, x: Value, name: str) -> Value:
    """x^2, whose backward multiplies three times."""
    kept = tape.keep(x.storage)
    y = tape.value(x.size, name)

    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(y)
        passing = [tape.new(x.size, "x"), tape.new(x.size, "2 x")]
        arriving = gradient(tape, x)
        tape.free(*passing)
        tape.done(given, kept)
        tape.arrive(x, arriving)

    tape.node(back)
    return y


def capped(tape: Tape, x: Value, name: str) -> Value:
    """cap tanh(x)."""
    bent = pointwise_of_result(tape, x, f"tanh of {name}")
    y = pointwise(tape, [bent], [], f"{name}, capped")
    tape.free(bent)
    return y


def shifted(tape: Tape, x: Value, name: str) -> Value:
    """x plus something that wants no gradient, such as a bias of the scores: x gets y's gradient itself."""
    y = tape.value(x.size, name, x.element_bytes)
    tape.node(lambda: tape.arrive(x, tape.gradient_of(y)))
    return y


def add(tape: Tape, a: Value, b: Value, name: str) -> Value:
    """a + b; both get the gradient itself."""
    y = tape.value(a.size, name, a.element_bytes)

    def back() -> None:
        given = tape.gradient_of(y)
        given.holders += 1
        tape.arrive(a, given)
        tape.arrive(b, given)

    tape.node(back)
    return y


def split(tape: Tape, x: Value, sizes: Sequence[int]) -> list[Value]:
    """Views of x side by side; their gradients are joined in a fresh one. x itself is left to the caller."""
    parts = [tape.view(x, size) for size in sizes]

    def back() -> None:
        given = [tape.gradient_of(part) for part in parts if part.size]
        arriving = gradient(tape, x, given[0].layout)
        tape.free(*given)
        tape.arrive(x, arriving)

    tape.node(back)
    return parts


def joined(tape: Tape, parts: Sequence[Value], name: str, layout: int | None = None) -> Value:
    """Parts behind one another in a fresh tensor; their gradients are views of its."""
    y = tape.value(sum(part.size for part in parts), name, parts[0].element_bytes)

    def back() -> None:
        given = tape.gradient_of(y)
        given.holders += len(parts) - 1
        given.viewed = True
        if layout is not None:
            given.layout = layout
        for part in parts:
            tape.arrive(part, given)

    tape.node(back)
    return y


def sliced(tape: Tape, x: Value, size: int, layout: int) -> Value:
    """A view of a part of x; its gradient comes back inside one of the whole, zero elsewhere."""
    y = tape.view(x, size)

    def back() -> None:
        given = tape.gradient_of(y)
        arriving = gradient(tape, x, layout)
        tape.free(given)
        tape.arrive(x, arriving)

    tape.node(back)
    return y


def unflattened(tape: Tape, x: Value) -> Value:
    """x seen by heads: a gradient that lies head by head is copied on its way back. x is left to the caller."""
    y = tape.view(x)

    def back() -> None:
        given = tape.gradient_of(y)
        tape.arrive(x, moved(tape, given, x) if given.layout == HEADS else given)

    tape.node(back)
    return y


def reshaped(tape: Tape, x: Value) -> Value:
    """x seen in another shape: its gradient comes back as a view. x is left to the caller."""
    y = tape.view(x)

    def back() -> None:
        given = tape.gradient_of(y)
        given.viewed = True
        tape.arrive(x, given)

    tape.node(back)
    return y


def copied(tape: Tape, x: Value, name: str, size: int | None = None, back_layout: int | None = None) -> Value:
    """A copy of x, padded to `size` or not; its gradient goes back as it is, or as a copy, if a layout is given."""
    y = tape.value(x.size if size is None else size, name, x.element_bytes)

    def back() -> None:
        given = tape.gradient_of(y)
        tape.arrive(x, given if back_layout is None else moved(tape, given, x, back_layout))

    tape.node(back)
    return y


def converted(tape: Tape, x: Value, element_bytes: int, name: str) -> Value:
    """A copy in another precision, as its gradient's on the way back; x itself where it has that precision."""
    if x.element_bytes == element_bytes:
        return tape.also(x)
    y = tape.value(x.size, name, element_bytes)

    def back() -> None:
        given = tape.gradient_of(y)
        tape.arrive(x, moved(tape, given, x, given.layout))

    tape.node(back)
    return y


def dropped(tape: Tape, x: Value, name: str) -> Value:
    """Dropout as a CPU runs it: times a mask of the tensor's own dtype."""
    mask = tape.new(x.size, f"dropout mask of {name}", x.element_bytes)
    y = pointwise(tape, [x], [mask], f"{name}, dropped")
    tape.free(mask)
    return y


def convolution(
    tape: Tape,
    x: Value,
    batch: int,
    context: int,
    width: int,
    taps: int,
    copied_taps: bool = False,
    bias: bool = False,
) -> tuple[Value, Storage]:
    """The short convolution behind what it remembers; also the storage that its next state is a view of."""
    behind = tape.new(batch * (context + taps - 1) * width, "convolution input")
    copy = [tape.new(taps * width, "taps, copied")] if copied_taps else []
    y = tape.value(x.size, "convolution output")
    kept = tape.keep(behind, *copy)
    tape.free(*copy)

    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(y)
        size = batch * (context + taps - 1) * width
        arriving = tape.new(size, f"gradient of {x.storage.name}", layout=PART if batch > 1 else TOKENS)
        dtaps = tape.new(taps * width, "gradient of the taps")
        for _ in range(taps):
            weighted = tape.new(x.size, "gradient times convolution input")
            tape.passing(width)
            tape.free(weighted)
        fresh = [dtaps, *([tape.new(width, "gradient of a bias")] if bias else [])]
        tape.done(given, kept)
        tape.free(*fresh)
        tape.arrive(x, arriving)

    tape.node(back)
    return y, behind


def gradient(tape: Tape, x: Value, layout: int = TOKENS) -> Storage:
    """A fresh gradient of x."""
    return tape.new(x.size, "gradient of " + x.storage.name, x.element_bytes, layout)


def moved(tape: Tape, given: Storage, x: Value, layout: int = TOKENS) -> Storage:
    """A copy of a gradient, as large as x, in another layout; what was given is freed."""
    copy = tape.new(x.size, given.name, x.element_bytes, layout)
    tape.free(given)
    return copy


def _backward_makes_each(tape: Tape, inputs: Sequence[Value], y: Value, kept: Kept) -> None:
    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(y)
        arriving = [gradient(tape, x, given.layout) for x in inputs]
        tape.done(given, kept)
        for x, fresh in zip(inputs, arriving, strict=True):
            tape.arrive(x, fresh)

    tape.node(back)
