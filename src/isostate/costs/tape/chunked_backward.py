"""The backward of `_Chunked` (`mixers/recurrence.py`) on a tape: group by group, the last one first."""

from __future__ import annotations

from isostate.costs.tape.chunks import (
    Chunks,
    Variables,
    decayed,
    laid_out,
    levels,
    monomials,
    n_monomials,
    power,
    selected_from,
    times,
    told,
)
from isostate.costs.tape.projections import by_head
from isostate.costs.tape.tape import TOKENS, TURNED, Kept, Storage, Tape, Value


def backward(
    tape: Tape, sizes: Chunks, y: Value, inputs: tuple[Value, Value, Value], log_gate: Value | None, kept: Kept
) -> None:
    """Gradients of queries, keys, values and gates, from that of y: nothing depends on the last state."""
    tape.unpack(kept)
    given = tape.gradient_of(y)
    rows, K, P, V, chunk, n_chunks = sizes.rows, sizes.K, sizes.P, sizes.V, sizes.chunk, sizes.n_chunks
    local = laid_out(tape, sizes)
    _reading_gradient(tape, local, sizes)
    for name in ("dq", "dk"):
        local.new(name, rows * n_chunks * chunk * K)
    dv = local.new("dv", rows * n_chunks * chunk * V)
    local.new("carry", rows * P * V)
    local.new("through", rows * n_chunks)
    for n0, n1 in reversed(sizes.groups()):
        _group(tape, local, sizes, n0, n1)
    dlog_gate = [_gate_gradient(tape, local, sizes)] if sizes.gated else []
    dq, dk = _by_position(tape, local, sizes)
    dv.layout = TOKENS if not (sizes.normalised or sizes.padded) else by_head(sizes.T, sizes.H, sizes.value_size)
    dv.holders += 1
    local.gone()
    tape.done(given, kept)
    for x, gradient in zip(inputs, (dq, dk, dv), strict=True):
        tape.arrive(x, gradient)
    if log_gate is not None and sizes.gated:
        tape.arrive(log_gate, *dlog_gate)


def _reading_gradient(tape: Tape, local: Variables, sizes: Chunks) -> None:
    rows, size, V, chunk, n_chunks = sizes.rows, sizes.value_size, sizes.V, sizes.chunk, sizes.n_chunks
    if sizes.padded:
        local.new("dr", rows * n_chunks * chunk * size)
    if not sizes.normalised:
        return
    inner = Variables(tape)
    inner.new("divisor", rows * n_chunks * chunk)
    inner.new("dy", rows * n_chunks * chunk * size)
    if sizes.padded:
        local.gone("dr")
    weighted = tape.new(rows * n_chunks * chunk * size, "gradient times reading")
    inner.new("sum", rows * n_chunks * chunk)
    tape.free(weighted)
    inner.new("sum", rows * n_chunks * chunk)
    inner.new("sum", rows * n_chunks * chunk)
    local.new("dr", rows * n_chunks * chunk * V)
    inner.gone()


def _group(tape: Tape, local: Variables, sizes: Chunks, n0: int, n1: int) -> None:
    """One turn of the loop over groups of chunks: inside the chunks, then between them."""
    K, P, V, chunk, n = sizes.K, sizes.P, sizes.V, sizes.chunk, n1 - n0
    M = sizes.rows * n
    chunk_copies = [M * K * chunk] if sizes.copies(n) else []
    value_copies = [M * chunk * V] if sizes.strided_copies(n) else []
    scores = times(tape, M * chunk * chunk, "scores in the chunks", chunk_copies * 2)
    _similarity_and_slope(tape, local, sizes, scores, M * chunk * chunk)
    local.let("dscore", times(tape, M * chunk * chunk, "gradient of scores", value_copies * 2))
    both = [times(tape, M * K * chunk, f"gradient of {name} of a group", chunk_copies) for name in ("queries", "keys")]
    tape.free(*both)
    tape.free(times(tape, M * chunk * V, "gradient of values of a group", value_copies))
    local.new("dread", M * P * V)
    if n1 > max(n0, 1):
        _of_reading(tape, local, sizes, n1 - max(n0, 1))
    local.new("dout", M * P * V)
    _scan_back(tape, local, sizes, n)
    if n0 < min(n1, sizes.n_chunks - 1):
        _of_adding(tape, local, sizes, min(n1, sizes.n_chunks - 1) - n0, n)
    if sizes.gated:
        weighted = tape.new(M * P * V, "gradient times state")
        tape.passing(M)
        tape.free(weighted)


def _similarity_and_slope(tape: Tape, local: Variables, sizes: Chunks, scores: Storage, size: int) -> None:
    feature_map = sizes.feature_map
    if len(feature_map.used_degrees) > 1:
        value, slope = tape.new(size, "weights in the chunks"), tape.new(size, "slopes in the chunks")
    else:
        degree, factor = feature_map.degree, feature_map.coefficients[-1]
        slope = power(tape, scores, size, degree - 1)
        value = tape.new(size, "weights in the chunks")
        if factor != 1.0:
            value, before = tape.new(size, "weights in the chunks"), value
            tape.free(before)
        if degree * factor != 1.0:
            slope, before = tape.new(size, "slopes in the chunks"), slope
            tape.free(before)
    tape.free(scores)
    local.let("weights in the chunks", value)
    local.let("slopes in the chunks", slope)


def _scan_back(tape: Tape, local: Variables, sizes: Chunks, n: int) -> None:
    """The caller holds the carry that it gave until it has the new one."""
    given = local["carry"]
    assert given is not None
    given.holders += 1
    for _ in range(told(n)):
        local.new("carry", sizes.rows * sizes.P * sizes.V)
    tape.free(given)


def _of_reading(tape: Tape, local: Variables, sizes: Chunks, n: int) -> None:
    """From what n chunks read of the state: gradients of the state and of queries."""
    P, V, chunk = sizes.P, sizes.V, sizes.chunk
    M = sizes.rows * n
    local.let("queries of a group", _copy(tape, sizes, n))
    local.let("dread of a group", _decayed(tape, sizes, n))
    weights = tape.new(P, "weights")
    local.new("squared weights", P)
    tape.free(weights)
    local.new("carried", M * P * V)
    phi = monomials(tape, sizes, n)
    local.new("gradient of the state read", M * P * V)
    tape.free(*([phi] if phi else []))
    dphi = tape.new(M * P * chunk, "gradient of monomials")
    local.let("dq of a group", monomials_backward(tape, sizes, n))
    tape.free(dphi)


def _of_adding(tape: Tape, local: Variables, sizes: Chunks, n: int, n_group: int) -> None:
    """From what n of the group's chunks added to the state: gradients of keys and values."""
    P, V, chunk = sizes.P, sizes.V, sizes.chunk
    M = sizes.rows * n
    dout = local["dout"]
    assert dout is not None
    if 1 < n < n_group and sizes.rows > 1:
        dout = tape.new(M * P * V, "dout of a part of a group")
    else:
        dout.holders += 1
    keys = _copy(tape, sizes, n)
    local.let("dout of a group", dout)
    local.let("keys of a group", keys)
    local.let("values of a group", _decayed(tape, sizes, n))
    dphi = tape.new(M * P * chunk, "gradient of monomials")
    local.let("dk of a group", monomials_backward(tape, sizes, n))
    tape.free(dphi)
    phi = monomials(tape, sizes, n)
    local.new("dv of a group", M * chunk * V)
    tape.free(*([phi] if phi else []))
    if sizes.decaying:
        tape.passing(M * chunk * V)


def _copy(tape: Tape, sizes: Chunks, n: int) -> Storage | None:
    return tape.new(sizes.rows * n * sizes.K * sizes.chunk, "chunks of a group") if sizes.copies(n) else None


def _decayed(tape: Tape, sizes: Chunks, n: int) -> Storage | None:
    fresh = decayed(tape, sizes, n)
    return fresh[0] if fresh else None


def monomials_backward(tape: Tape, sizes: Chunks, n: int) -> Storage | None:
    """`PolynomialMap.monomials_backward`: the gradient of the variables."""
    return tape.once(("monomials backward", sizes, n), lambda: _monomials_backward(tape, sizes, n))


def _monomials_backward(tape: Tape, sizes: Chunks, n: int) -> Storage:
    feature_map, rows, K, chunk = sizes.feature_map, sizes.rows * n, sizes.K, sizes.chunk
    local = Variables(tape)
    levels(tape, local, sizes, n, feature_map.degree - 1)
    result = tape.new(rows * K * chunk, "gradient of a group's chunks")
    for degree in range(feature_map.degree, 1, -1):
        size = rows * n_monomials(K, degree) * chunk
        selected = tape.new(size, "selected rows")
        if degree == 2:
            selected_from(tape, sizes, n)
        tape.free(selected)
        if degree - 1 not in feature_map.used_degrees or rows > 1:
            local.new(f"gradient of degree {degree - 1}", rows * n_monomials(K, degree - 1) * chunk)
        selected = tape.new(size, "selected rows")
        selected_from(tape, sizes, n)
        tape.free(selected)
    local.gone()
    return result


def _gate_gradient(tape: Tape, local: Variables, sizes: Chunks) -> Storage:
    rows, V, chunk, n_chunks = sizes.rows, sizes.V, sizes.chunk, sizes.n_chunks
    sums = []
    for _ in range(2):
        weighted = tape.new(rows * n_chunks * chunk * V, "gradient times reading")
        sums.append(tape.new(rows * n_chunks * chunk, "summed over values"))
        tape.free(weighted)
    local.new("dL", rows * n_chunks * chunk)
    tape.free(*sums)
    for _ in range(3):
        local.new("summed from the end", rows * n_chunks * chunk)
    result = tape.new(rows * n_chunks * chunk, "gradient of the log of the gates")
    local.gone("summed from the end")
    return result


def _by_position(tape: Tape, local: Variables, sizes: Chunks) -> list[Storage]:
    """Gradients of queries and keys, positions first again: a copy, unless there is one chunk, or heads of size 1."""
    if sizes.n_chunks == 1 or sizes.K == 1:
        result = [storage for name in ("dq", "dk") if (storage := local.pop(name)) is not None]
        for storage in result:
            storage.layout = TURNED
        return result
    size = sizes.rows * sizes.n_chunks * sizes.chunk * sizes.K
    layout = by_head(sizes.T, sizes.H, sizes.K)
    return [tape.new(size, f"gradient of {name}", layout=layout) for name in ("queries", "keys")]
