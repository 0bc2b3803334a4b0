"""S4 on a tape, from the empty state: `mixers/s4.py`, and the filter's forms in `mixers/s4_filter.py`.

What comes from the parameters alone is in `s4_modes.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from isostate.costs.tape.chunks import Variables, told
from isostate.costs.tape.operations import converted, gradient, linear, pointwise
from isostate.costs.tape.projections import Table
from isostate.costs.tape.s4_modes import ModeSizes, filters, filters_backward
from isostate.costs.tape.tape import Storage, Tape, Value
from isostate.mixers import Form
from isostate.mixers.s4 import CHUNK, S4Config

COMPLEX = 2  # real numbers


class FilterSizes(NamedTuple):
    """Of one call: elements of a state, of positions with padding, of the transforms of x and of the kernel."""

    modes: ModeSizes
    batch: int
    context: int
    chunk: int

    @staticmethod
    def of(config: S4Config, batch: int, context: int, form: Form) -> FilterSizes:
        chunk = context if form == "parallel" else min(config.chunk or CHUNK, context)
        return FilterSizes(ModeSizes.of(config, chunk), batch, context, chunk)

    @property
    def n_chunks(self) -> int:
        return -(-self.context // self.chunk)

    @property
    def last(self) -> int:
        return self.context - (self.n_chunks - 1) * self.chunk

    @property
    def state(self) -> int:
        return self.batch * self.modes.width * self.modes.states

    @property
    def padded(self) -> int:
        return self.batch * self.modes.width * self.n_chunks * self.chunk

    @property
    def spectrum(self) -> int:
        return COMPLEX * self.batch * self.modes.width * self.n_chunks * (self.chunk + 1)

    @property
    def kernel_spectrum(self) -> int:
        return COMPLEX * self.modes.width * (self.chunk + 1)


def s4(tape: Tape, config: S4Config, x: Value, batch: int, context: int, form: Form) -> tuple[Value, list[Storage]]:
    """The mixer's output, and the storages of its state."""
    assert form != "recurrent", f"the tape tells no {form} form of {config.family}"
    rows, width = batch * context, config.d_model
    sizes = FilterSizes.of(config, batch, context, form)
    y, last = _filtered(tape, sizes, x)
    active = pointwise(tape, [y], [y.storage], "gelu of what the filter made")
    halves = linear(tape, active, rows, width, 2 * width, config.bias == "all", "output and its gate")
    tape.free(active)
    out = pointwise(tape, [halves], [halves.storage], "mixer output", rows * width)
    tape.free(halves, y)
    return out, [last]


def backward_flops(config: S4Config, inner: int, batch: int, context: int, form: Form) -> int:
    """Each product's two gradients."""
    return 2 * inner


def tables(config: S4Config, context: int, element_bytes: int) -> list[Table]:
    """None: nothing is shared."""
    return []


def _filtered(tape: Tape, sizes: FilterSizes, x: Value) -> tuple[Value, Storage]:
    """`chunked` of s4_filter.py, in float32 at least."""
    wide_bytes = max(4, tape.element_bytes)
    wide = converted(tape, x, wide_bytes, "x of the filter")
    y, last = _chunked(tape, sizes, wide, filters(tape, sizes.modes, wide_bytes), wide_bytes)
    tape.free(wide)
    out = converted(tape, y, tape.element_bytes, "what the filter made")
    tape.free(y)
    if tape.element_bytes < wide_bytes:
        state = tape.new(sizes.state, "state")
        tape.free(last)
        return out, state
    return out, last


def _chunked(
    tape: Tape, sizes: FilterSizes, x: Value, given: tuple[Storage, ...], wide_bytes: int
) -> tuple[Value, Storage]:
    """`_Chunked.forward`; takes the filters over."""
    local, n_chunks = Variables(tape), sizes.n_chunks
    local.new("x by chunk", sizes.padded, wide_bytes)
    states = local.new("states between chunks", (n_chunks + 1) * sizes.state, wide_bytes)
    for _ in range(told(n_chunks)):
        tape.passing(sizes.state, wide_bytes)
        tape.passing(sizes.state, wide_bytes)
    rows = _rows(tape, sizes, n_chunks, (sizes.modes.states,), wide_bytes)
    local.new("y by chunk", sizes.padded, wide_bytes)
    tape.free(*rows)
    _transformed(local, "spectrum", sizes.padded, sizes.spectrum, wide_bytes)
    _transformed(local, "kernel spectrum", sizes.modes.kernel, sizes.kernel_spectrum, wide_bytes)
    local.gone("kernel spectrum")
    local.new("convolved", 2 * sizes.padded, wide_bytes)
    local.gone("spectrum", "convolved")
    states.holders += 1
    converted_skip = (
        [tape.new(sizes.modes.width, "D of the filter", wide_bytes)] if wide_bytes > tape.element_bytes else []
    )
    kept = tape.keep(x.storage, *given, *converted_skip, states)
    y = tape.value(x.size, "y of the filter", wide_bytes)
    last = tape.new(sizes.state, "state", wide_bytes)
    local.gone()
    tape.free(states, *given, *converted_skip)

    def back() -> None:
        tape.unpack(kept)
        given_y = tape.gradient_of(y)
        arriving, dfilters = _chunked_backward(tape, sizes, x, wide_bytes)
        tape.done(given_y, kept)
        tape.arrive(x, arriving)
        filters_backward(tape, sizes.modes, dfilters, wide_bytes)

    tape.node(back)
    return y, last


def _transformed(local: Variables, name: str, size: int, spectrum: int, element_bytes: int) -> None:
    """A transform of real numbers: padded to twice their length first."""
    local.new("padded", 2 * size, element_bytes)
    local.new(name, spectrum, element_bytes)
    local.gone("padded")


def _chunked_backward(tape: Tape, sizes: FilterSizes, x: Value, wide_bytes: int) -> tuple[Storage, tuple[Storage, ...]]:
    """`_Chunked.backward`: the gradients of x, and of the kernel, the writes, the reads and the turns."""
    local, modes, n_chunks = Variables(tape), sizes.modes, sizes.n_chunks
    local.new("x by chunk", sizes.padded, wide_bytes)
    local.new("dy by chunk", sizes.padded, wide_bytes)
    _transformed(local, "gradient", sizes.padded, sizes.spectrum, wide_bytes)
    _transformed(local, "spectrum", sizes.padded, sizes.spectrum, wide_bytes)
    local.new("summed", sizes.kernel_spectrum, wide_bytes)
    local.gone("spectrum")
    dkernel = tape.new(2 * modes.kernel, "gradient of the kernel", wide_bytes)
    _transformed(local, "kernel spectrum", modes.kernel, sizes.kernel_spectrum, wide_bytes)
    local.gone("kernel spectrum")
    local.new("dx by chunk", 2 * sizes.padded, wide_bytes)
    local.gone("gradient", "summed")
    rows = _rows(tape, sizes, n_chunks, (modes.states,), wide_bytes)
    dreads = tape.new(modes.filters, "gradient of the reads", wide_bytes)
    tape.free(*rows)
    local.new("what was read", n_chunks * sizes.state, wide_bytes)
    local.new("gradients of the states", n_chunks * sizes.state, wide_bytes)
    dturns = tape.new(modes.turns, "gradient of the turns", wide_bytes)
    carry = tape.new(sizes.state, "carried gradient of the state", wide_bytes)
    for _ in range(told(n_chunks)):
        _turned_back(tape, sizes, wide_bytes)
    dwrites = tape.new(modes.filters, "gradient of the writes", wide_bytes)
    if n_chunks > 1:
        _left(tape, sizes, n_chunks - 1, sizes.chunk, wide_bytes)
    _left(tape, sizes, 1, sizes.last, wide_bytes)
    joined = [tape.new(sizes.padded, "dx, padded", wide_bytes)] if n_chunks > 1 else []
    arriving = gradient(tape, x)
    tape.free(*joined)
    products = tape.new(x.size, "dy x", wide_bytes)
    dskip = tape.new(modes.width, "gradient of D", wide_bytes)
    tape.free(products)
    local.gone()
    tape.free(carry, dskip)
    return arriving, (dkernel, dwrites, dreads, dturns)


def _turned_back(tape: Tape, sizes: FilterSizes, wide_bytes: int) -> None:
    """One turn of the loop over chunks."""
    turn = sizes.modes.width * sizes.modes.states
    same = tape.new(sizes.state, "carry times state", wide_bytes)
    summed = tape.new(turn, "gradient of same", wide_bytes)
    tape.free(same, summed)
    swapped = tape.new(sizes.state, "state, swapped", wide_bytes)
    cross = tape.new(sizes.state, "carry times swapped state", wide_bytes)
    tape.free(swapped)
    summed = tape.new(turn, "gradient of cross", wide_bytes)
    tape.free(cross, summed)
    crossing = tape.new(sizes.state, "carry times cross", wide_bytes)
    crossed = tape.new(sizes.state, "carry that crossed", wide_bytes)
    tape.free(crossing, crossed)


def _left(tape: Tape, sizes: FilterSizes, n_chunks: int, positions: int, wide_bytes: int) -> None:
    """`_writes_backward` of so many chunks."""
    modes = sizes.modes
    rows = _rows(tape, sizes, n_chunks, (modes.states, positions), wide_bytes)
    tape.passing(modes.width * modes.states * positions, wide_bytes)
    tape.passing(sizes.batch * modes.width * n_chunks * positions, wide_bytes)
    tape.free(*rows)


def _rows(tape: Tape, sizes: FilterSizes, n_chunks: int, lengths: tuple[int, ...], wide_bytes: int) -> list[Storage]:
    """Rows of every sequence and chunk of a channel: copies, where there are several of both."""
    if sizes.batch == 1 or n_chunks == 1:
        return []
    rows = sizes.batch * sizes.modes.width * n_chunks
    return [tape.new(rows * length, "rows of a channel", wide_bytes) for length in lengths]
