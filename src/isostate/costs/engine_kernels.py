"""The kernels of the linear family's chunked form, forward and backward: `mixers/recurrence.py`, line by line.

Letters as there: P expanded keys, K keys, V values (with the normaliser's column).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from isostate.costs.kernels import Kernel, calls
from isostate.mixers.chunks import GROUP_ELEMENTS
from isostate.mixers.feature_maps import PolynomialMap
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.recurrence import best_chunk


@dataclass(frozen=True)
class Engine:
    """One call: what decides its kernels."""

    batch: int
    n_heads: int
    context: int
    value_size: int
    feature_map: PolynomialMap
    chunk: int | None
    normalised: bool
    gated: bool
    decayed: bool
    maps_elements: bool

    @staticmethod
    def of(mixer: LinearFamilyConfig, batch: int, context: int) -> Engine:
        normalised, gated = mixer.normaliser == "sum", mixer.gate == "head"
        maps, decayed = mixer.maps_elements, gated or mixer.fixed_decay
        sizes = (batch, mixer.n_heads, context, mixer.head_dim)
        return Engine(*sizes, mixer.feature_map, mixer.chunk, normalised, gated, decayed, maps)

    @property
    def rows(self) -> int:
        return self.batch * self.n_heads

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """P, K, V, and the positions of a chunk."""
        V = self.value_size + self.normalised
        chunk = self.chunk or best_chunk(self.feature_map, V, self.context)
        return self.feature_map.expanded_size, self.feature_map.head_dim, V, chunk

    @property
    def n_chunks(self) -> int:
        return -(-self.context // self.sizes[3])

    @property
    def padding(self) -> bool:
        return self.context % self.sizes[3] > 0

    def groups(self) -> list[tuple[int, int]]:
        """Chunks whose phi are held at once, as in `mixers/chunks.py`."""
        P, _, _, chunk = self.sizes
        size = max(1, GROUP_ELEMENTS // (self.rows * chunk * max(P, chunk)))
        return [(n, min(n + size, self.n_chunks)) for n in range(0, self.n_chunks, size)]


def engine_kernels(
    mixer: LinearFamilyConfig, batch: int, context: int
) -> tuple[tuple[Kernel, ...], tuple[Kernel, ...]]:
    """Forward and backward from an empty state, the last state not asked for."""
    engine = Engine.of(mixer, batch, context)
    around, chunked = _around(engine), chunked_kernels(engine)
    return (*around[0], *chunked[0]), (*around[1], *chunked[1])


def chunked_kernels(engine: Engine) -> tuple[tuple[Kernel, ...], tuple[Kernel, ...]]:
    """Of `recurrence.chunked` alone."""
    forward = [*_into_chunks(engine), *_decays(engine), *calls(26)]
    backward = [*_into_chunks(engine), *_decays(engine), *calls(21)]
    groups = engine.groups()
    for first, last in groups:
        forward += _forward_group(engine, first, last, whole=len(groups) == 1)
        backward += _backward_group(engine, first, last, whole=len(groups) == 1)
    return tuple(forward), tuple(backward)


def _into_chunks(engine: Engine) -> list[Kernel]:
    """Queries and keys with positions last; the last chunk filled up."""
    _, K, V, chunk = engine.sizes
    padded = engine.rows * engine.n_chunks * chunk
    kernels = [Kernel("transpose", (engine.rows * engine.context, K), 2)]
    return kernels + ([Kernel("copy", (padded * K,), 2), Kernel("copy", (padded * V,))] if engine.padding else [])


def _around(engine: Engine) -> tuple[list[Kernel], list[Kernel]]:
    """The elementwise map before the engine, the ones beside the values, the division after it, the gates."""
    _, K, V, _ = engine.sizes
    n_positions = engine.rows * engine.context
    rows, n_keys = (n_positions, K), n_positions * K
    forward, backward = [Kernel("strided", rows)], [Kernel("strided", rows, 5)]  # from heads, and back to them
    if engine.maps_elements:
        forward.append(Kernel("gelu", (n_keys,), 2))
        backward.append(Kernel("gelu backward", (n_keys,), 2))
    if engine.normalised:
        forward += [Kernel("strided", rows, 2), Kernel("map", (n_keys,)), *calls(6)]
        backward += [Kernel("map of saved", (n_keys,), 2), Kernel("sum rows", (n_keys,))]
        backward += [Kernel("copy", (n_positions * V,)), Kernel("strided", rows), *calls(5)]
    if engine.padding or engine.normalised:  # the readings are no longer the tensor that leaves
        forward.append(Kernel("strided", rows))
    if engine.gated:
        forward += [Kernel("map", (n_positions,), 2), *calls(2)]
        backward += [Kernel("map of saved", (n_positions * V,), 2), Kernel("sum rows", (n_positions * V,), 2)]
        backward += [Kernel("map", (n_positions,), 4), *calls(10)]
    return forward, backward


def _decays(engine: Engine) -> list[Kernel]:
    """Between the positions of every chunk, in float64 first; ALiBi's without a gate are one chunk's for all."""
    chunk = engine.sizes[3]
    if not engine.decayed:
        return [Kernel("map", (chunk * chunk,)), *calls(1)]
    shared = not engine.gated
    n_chunks = 1 if shared and not engine.padding else engine.n_chunks
    between = (engine.n_heads if shared else engine.rows) * n_chunks * chunk * chunk
    doubles = Kernel("map", (2 * between,), 2)  # a float64 moves as much as two float32
    return [doubles, Kernel("update", (2 * between,)), Kernel("exp", (between,)), *calls(23)]


def _monomials(feature_map: PolynomialMap, n_matrices: int, chunk: int) -> list[Kernel]:
    """Degree by degree: two gathers of rows as long as a chunk, and their product."""
    kernels: list[Kernel] = []
    for degree in range(2, feature_map.degree + 1):
        n_rows = n_matrices * math.comb(feature_map.head_dim + degree - 1, degree)
        kernels += [Kernel("gather", (n_rows, chunk), 2), Kernel("map", (n_rows * chunk,))]
    if len(feature_map.used_degrees) > 1:
        kernels.append(Kernel("copy", (n_matrices * feature_map.expanded_size * chunk,)))
    return kernels


def _monomials_backward(feature_map: PolynomialMap, n_matrices: int, chunk: int) -> list[Kernel]:
    """The levels again, then from the highest degree down: two gathers, two products, two scatters."""
    kernels: list[Kernel] = [Kernel("update", (n_matrices * feature_map.head_dim * chunk,))]
    for degree in range(2, feature_map.degree + 1):
        n_rows = n_matrices * math.comb(feature_map.head_dim + degree - 1, degree)
        below = n_matrices * math.comb(feature_map.head_dim + degree - 2, degree - 1)
        kernels += [Kernel("gather", (n_rows, chunk), 2), Kernel("update", (n_rows * chunk,), 2)]
        kernels += [Kernel("scatter", (n_rows, chunk), 2), Kernel("update", (below * chunk,))]
        if degree < feature_map.degree:
            kernels += [Kernel("gather", (n_rows, chunk), 2), Kernel("map", (n_rows * chunk,))]
    return kernels


def _similarity(feature_map: PolynomialMap, n_scores: int, with_slope: bool) -> list[Kernel]:
    """f of the scores, and f': powers by squaring, or Horner's rule."""
    degree = feature_map.degree
    if len(feature_map.used_degrees) > 1:
        return [
            Kernel("update", (n_scores,), 2 + 4 * degree) if with_slope else Kernel("map", (n_scores,), 1 + 2 * degree)
        ]
    if degree == 1:
        return [Kernel("map", (n_scores,))] if with_slope else []
    n_products = math.ceil(math.log2(degree)) + degree % 2
    return [Kernel("map", (n_scores,), n_products + 1 + 2 * with_slope)]


def _forward_group(engine: Engine, first: int, last: int, whole: bool) -> list[Kernel]:
    P, K, V, chunk = engine.sizes
    n_matrices, reading = engine.rows * (last - first), engine.rows * (last - max(first, 1))
    kernels = [
        *_monomials(engine.feature_map, n_matrices, chunk),
        Kernel("batched matmul", (P, chunk, V), units=n_matrices),
        Kernel("map", (engine.rows * P * V,), last - first),  # the scan
        Kernel("batched matmul", (chunk, K, chunk), units=n_matrices),
        *_similarity(engine.feature_map, n_matrices * chunk * chunk, with_slope=False),
        Kernel("update", (n_matrices * chunk * chunk,)),  # the mask or the decays
        Kernel("batched matmul", (chunk, chunk, V), units=n_matrices),
        Kernel("copy", (n_matrices * chunk * V,)),
        *calls(23 + 3 * (last - first)),
    ]
    if not whole:  # parts of queries, keys and values, which each product copies
        kernels += [Kernel("copy", (n_matrices * chunk * K,), 3), Kernel("copy", (n_matrices * chunk * V,), 2)]
    kernels += [Kernel("map", (n_matrices * chunk * V,)), *calls(3 + last - first)] if engine.decayed else []
    if reading:
        kernels += [
            *_monomials(engine.feature_map, reading, chunk),
            Kernel("map of saved", (reading * P * V,)),
            Kernel("batched matmul", (chunk, P, V), units=reading),
            Kernel("update", (reading * chunk * V,), 1 + engine.decayed),
            Kernel("copy", (reading * chunk * K,)),
            Kernel("copy", (reading * chunk * V,)),
            *calls(16),
        ]
    return kernels


def _backward_group(engine: Engine, first: int, last: int, whole: bool) -> list[Kernel]:
    P, K, V, chunk = engine.sizes
    n_matrices, reading = engine.rows * (last - first), engine.rows * (last - max(first, 1))
    writing = engine.rows * (min(last, engine.n_chunks - 1) - first)
    kernels = [
        Kernel("batched matmul", (chunk, K, chunk), units=n_matrices),
        *_similarity(engine.feature_map, n_matrices * chunk * chunk, with_slope=True),
        Kernel("batched matmul", (chunk, V, chunk), units=n_matrices),
        Kernel("update", (n_matrices * chunk * chunk,), 3),
        Kernel("batched matmul", (K, chunk, chunk), 2, n_matrices),
        Kernel("batched matmul", (chunk, chunk, V), units=n_matrices),
        Kernel("copy", (n_matrices * chunk * K,), 2),
        Kernel("copy", (n_matrices * chunk * V,)),
        Kernel("update", (n_matrices * P * V,)),
        Kernel("copy", (n_matrices * P * V,)),
        Kernel("map", (engine.rows * P * V,), last - first),  # the scan
        *calls(32 + (3 + engine.decayed) * (last - first)),
    ]
    if not whole:
        kernels += [Kernel("copy", (n_matrices * chunk * K,), 4), Kernel("copy", (n_matrices * chunk * V,), 3)]
    for n_used, products in ((reading, ((P, chunk, V), (P, V, chunk))), (writing, ((P, V, chunk), (chunk, P, V)))):
        if n_used > 0:
            kernels += [
                *_monomials(engine.feature_map, n_used, chunk),
                *_monomials_backward(engine.feature_map, n_used, chunk),
                *(Kernel("batched matmul", product, units=n_used) for product in products),
                Kernel("update", (n_used * chunk * (K + V),)),
                Kernel("copy", (n_used * chunk * K,), 2),
                Kernel("copy", (n_used * P * V,)),
                *calls(31 + 3 * engine.decayed),
            ]
            kernels += [Kernel("map", (n_used * chunk * V,))] if engine.decayed else []
    if reading > 0:
        kernels += [Kernel("map of saved", (reading * P * V,)), Kernel("update", (reading * P * V,))]
    if engine.gated:
        kernels += [Kernel("map of saved", (n_matrices * P * V,)), Kernel("sum rows", (n_matrices * P * V,)), *calls(3)]
    return kernels
