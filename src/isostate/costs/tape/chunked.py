"""`_Chunked` of `mixers/recurrence.py` on a tape: the forward. Its backward is `chunked_backward.py`."""

from __future__ import annotations

from isostate.costs.tape.chunked_backward import backward
from isostate.costs.tape.chunks import (
    Chunks,
    Variables,
    decayed,
    laid_out,
    monomials_of_slice,
    similarity,
    times,
)
from isostate.costs.tape.operations import BOOL
from isostate.costs.tape.tape import Storage, Tape, Value


def chunked(tape: Tape, sizes: Chunks, q: Value, k: Value, v: Value, log_gate: Value | None) -> tuple[Value, Storage]:
    """What is read from the empty state, and the last one; keeps states between chunks and the undivided reading."""
    rows, T, P, V, chunk, n_chunks = sizes.rows, sizes.T, sizes.P, sizes.V, sizes.chunk, sizes.n_chunks
    local = laid_out(tape, sizes)
    local.new("weights", P)
    local.new("squared weights", P)
    local.gone("weights")
    states = local.new("states between chunks", rows * (n_chunks + 1) * P * V)
    tape.passing(rows * P * V, BOOL)
    reading = local.new("undivided reading", rows * n_chunks * chunk * V)
    for n0, n1 in sizes.groups():
        _group(tape, local, sizes, n0, n1)
    if sizes.normalised:
        local.new("divisor", rows * n_chunks * chunk)
        divided = tape.new(rows * n_chunks * chunk * sizes.value_size, "what the mixer read")
        local.gone("divisor")
    else:
        divided = reading
        divided.holders += 1
    y = Value(divided, rows * T * sizes.value_size, tape.element_bytes)
    last = tape.new(rows * P * V, "last state")
    gates = [log_gate.storage] if log_gate else []
    states.holders += 1
    reading.holders += 1
    local.gone()
    kept = tape.keep(q.storage, k.storage, v.storage, *gates, states, reading)
    tape.free(states, reading)
    tape.node(lambda: backward(tape, sizes, y, (q, k, v), log_gate, kept))
    return y, last


def _group(tape: Tape, local: Variables, sizes: Chunks, n0: int, n1: int) -> None:
    """One turn of the loop over groups of chunks."""
    K, P, V, chunk, n = sizes.K, sizes.P, sizes.V, sizes.chunk, n1 - n0
    M = sizes.rows * n
    phi = monomials_of_slice(tape, sizes, n)
    weighted = decayed(tape, sizes, n)
    local.new("added", M * P * V)
    tape.free(*weighted, *phi)
    scores = times(tape, M * chunk * chunk, "scores in the chunks", [M * K * chunk] * 2 if sizes.copies(n) else [])
    local.let("weights in the chunks", similarity(tape, sizes, scores, M * chunk * chunk))
    tape.free(times(tape, M * chunk * V, "read in the chunks", [M * chunk * V] if sizes.strided_copies(n) else []))
    n = n1 - max(n0, 1)  # an empty state is not read
    if n < 1:
        return
    M = sizes.rows * n
    local.new("carried", M * P * V)
    phi = monomials_of_slice(tape, sizes, n)
    local.new("read", M * chunk * V)
    tape.free(*phi)
    if sizes.decaying:
        tape.passing(M * chunk * V)
