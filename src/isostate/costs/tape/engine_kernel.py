"""The chunked form by our own kernel on a tape, from the empty state: `mixers/engine_kernel.py`."""

from __future__ import annotations

from functools import lru_cache
from math import comb

import torch

from isostate.costs.tape.chunks import Chunks
from isostate.costs.tape.operations import BOOL, FLOAT32, INT32, INT64, gradient
from isostate.costs.tape.projections import Table
from isostate.costs.tape.tape import HEADS, TURNED, Storage, Tape, Value
from isostate.mixers import engine_kernel
from isostate.mixers.engine_kernel import PAST_THE_END, Shares
from isostate.mixers.feature_maps import PolynomialMap
from isostate.mixers.native import Kernels


def runs_engine(kernels: Kernels, element_bytes: int) -> bool:
    """Whether the chunked form of the linear family and of Mamba-2 is left to the kernel (`engine_kernel.serves`)."""
    return kernels == "own" and element_bytes >= FLOAT32


def engine(
    tape: Tape, sizes: Chunks, n_groups: int, chunk: int | None, q: Value, k: Value, v: Value, log_gate: Value | None
) -> tuple[Value, list[Storage]]:
    """What is read, by position, and the storages of the state after. `chunk`: the config's."""
    rows, T, P, V, heads = sizes.rows, sizes.T, sizes.P, sizes.value_size, sizes.H
    chunk = min(chunk or engine_kernel.best_chunk(sizes.feature_map, sizes.V, T), T)
    n_chunks, batch, state_size = -(-T // chunk), rows // heads, rows * P * V
    shares = Shares.of(batch * n_groups, heads // n_groups, n_chunks, tape.n_threads)
    scratch = [tape.n_threads * scratch_elements(sizes.feature_map, V, chunk, back) for back in (False, True)]
    tape.passing(state_size, BOOL)  # is any number of the state not zero?
    if sizes.normalised:
        tape.passing(rows * P, BOOL)
    y = tape.value(rows * T * V, "what the mixer read")
    state = [tape.new(state_size, "state"), *([tape.new(rows * P, "normaliser")] if sizes.normalised else [])]
    sums = [tape.new(rows * T, "sums of the weights")] if sizes.normalised else []
    states = tape.new(rows * (n_chunks - 1) * P * sizes.V + PAST_THE_END, "states between chunks")
    totals = tape.new(rows * n_chunks, "decays of chunks")
    tape.passing(scratch[0])
    read = [y.storage] if sizes.normalised or sizes.gated else []
    gates = [log_gate.storage] if log_gate else []
    kept = tape.keep(q.storage, k.storage, v.storage, *gates, states, *read, *sums)
    tape.free(totals, states, *sums)

    def back() -> None:
        tape.unpack(kept)
        given = tape.gradient_of(y)
        whole = [tape.new(y.size, "gradient, contiguous")] if given.layout == TURNED else []
        parts = [tape.new(shares.parts * x.size, f"gradient of {x.storage.name}") for x in (q, k)]
        arriving = gradient(tape, v)
        by_gate = [gradient(tape, log_gate, HEADS)] if log_gate and sizes.gated else []
        carried = [tape.new(shares.segments * rows, "ones")]
        carried.append(tape.new(shares.segments * rows * P * sizes.V + PAST_THE_END, "carried gradient of the state"))
        tape.passing(scratch[1])
        tape.free(*carried)
        if shares.parts > 1:
            apart, parts = parts, [gradient(tape, x) for x in (q, k)]
            tape.free(*apart)
        tape.free(*whole)
        tape.done(given, kept)
        for x, fresh in zip((q, k, v), (*parts, arriving), strict=True):
            tape.arrive(x, fresh)
        if log_gate and by_gate:
            tape.arrive(log_gate, by_gate[0])

    tape.node(back)
    return y, state


def engine_tables(feature_map: PolynomialMap) -> list[Table]:
    """Beside torch's tables: `engine_kernel._tables`, four of int32, and the numbers of degree one."""
    K, P, degree = feature_map.head_dim, feature_map.expanded_size, feature_map.degree
    numbers = 2 * (_low(feature_map) + P) * INT32 + 2 * K * INT64
    return [Table("numbers and weights for the kernel", numbers + (P + degree + 1) * FLOAT32, of=feature_map)]


@lru_cache(maxsize=4096)
def scratch_elements(feature_map: PolynomialMap, value_size: int, chunk: int, is_backward: bool) -> int:
    """Of a thread, in float32, as the kernel says; without the tables that a call needs."""
    K, P = feature_map.head_dim, feature_map.expanded_size
    problem = engine_kernel._Problem(K=K, V=value_size, P=P, low=_low(feature_map), chunk=chunk)
    return engine_kernel._scratch_elements(problem, torch.float32, is_backward)


def _low(feature_map: PolynomialMap) -> int:
    """Monomials below the degree, 1 among them."""
    K = feature_map.head_dim
    return sum(comb(K + degree - 1, degree) for degree in range(feature_map.degree))
