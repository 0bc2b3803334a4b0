"""What both directions of the engine's chunked form share on a tape: sizes, groups, decays, monomials, similarities.

Lines follow `mixers/chunks.py`, `feature_maps.py` and `recurrence.py`. Where torch copies follows from how chunks lie:
a group of several of them, batch and heads seen as one, is a copy unless it is all there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb

from isostate.costs.tape.operations import BOOL, FLOAT64
from isostate.costs.tape.tape import Storage, Tape
from isostate.mixers import chunks
from isostate.mixers.feature_maps import PolynomialMap
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.recurrence import best_chunk

ALIKE = 2  # groups told from either end, and chunks of a scan: further ones in the middle meet what these met


def told(n: int) -> int:
    """Of n chunks in a scan, as many as are told."""
    return min(n, ALIKE + 1)


class Variables(dict[str, "Storage | None"]):
    """A function's local variables: a name that is given anew lets go of what it held."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self.tape = tape

    def let(self, name: str, storage: Storage | None) -> None:
        before = self.get(name)
        self[name] = storage
        if before is not None:
            self.tape.free(before)

    def new(self, name: str, size: int, element_bytes: int | None = None) -> Storage:
        storage = self.tape.new(size, name, element_bytes)
        before, self[name] = self.get(name), storage
        if before is not None:
            self.tape.free(before)
        return storage

    def gone(self, *names: str) -> None:
        """All variables, or those named."""
        for name in names or list(self):
            held = self.pop(name)
            if held is not None:
                self.tape.free(held)


@dataclass(frozen=True)
class Chunks:
    """Sizes of one call (`Layout`). `rows` are batch times heads; V counts the normaliser's column, K no value."""

    rows: int
    H: int
    T: int
    K: int
    P: int
    V: int
    chunk: int
    n_chunks: int
    feature_map: PolynomialMap
    normalised: bool
    decaying: bool
    gated: bool

    @staticmethod
    def of(config: LinearFamilyConfig, batch: int, context: int) -> Chunks:
        normalised, gated = config.normaliser == "sum", config.gate == "head"
        decaying = gated or config.fixed_decay
        sizes = (batch, config.n_heads, context, config.head_dim)
        return Chunks.sized(*sizes, config.feature_map, config.chunk, normalised, decaying, gated)

    @staticmethod
    def sized(
        batch: int,
        n_heads: int,
        context: int,
        value_size: int,
        feature_map: PolynomialMap,
        chunk: int | None,
        normalised: bool,
        decaying: bool,
        gated: bool,
    ) -> Chunks:
        V = value_size + normalised
        chunk = chunk or best_chunk(feature_map, V, context)
        return Chunks(
            *(batch * n_heads, n_heads, context, feature_map.head_dim, feature_map.expanded_size, V),
            *(chunk, -(-context // chunk), feature_map, normalised, decaying, gated),
        )

    @property
    def value_size(self) -> int:
        """Without the normaliser's column."""
        return self.V - self.normalised

    @property
    def padded(self) -> bool:
        return self.n_chunks * self.chunk > self.T

    def groups(self) -> list[tuple[int, int]]:
        """Ranges of chunks, first and last ones of many."""
        size = max(1, chunks.GROUP_ELEMENTS // (self.rows * self.chunk * max(self.P, self.chunk)))
        starts: Sequence[int] = range(0, self.n_chunks, size)
        if len(starts) > 2 * ALIKE:
            n_last = ALIKE if self.n_chunks % size else 1  # the last one may be smaller than the others
            starts = [*starts[:ALIKE], *starts[-n_last:]]
        return [(n, min(n + size, self.n_chunks)) for n in starts]

    def copies(self, n: int) -> bool:
        """Whether n chunks, batch and heads joined, are a copy."""
        return 1 < n < self.n_chunks and self.rows > 1

    def strided_copies(self, n: int) -> bool:
        """The same where positions come first, heads beside one another: values and readings as they are projected."""
        if self.normalised or self.padded or self.H == 1:
            return self.copies(n)
        return self.rows > self.H or n > 1


def laid_out(tape: Tape, sizes: Chunks) -> Variables:
    """What both directions begin with: the decays, and queries, keys and values by chunks."""
    local = Variables(tape)
    decays(tape, local, sizes)
    by_chunk(local, "q", sizes)
    by_chunk(local, "k", sizes)
    if sizes.padded:
        local.new("v", sizes.rows * sizes.n_chunks * sizes.chunk * sizes.V)
    return local


def by_chunk(local: Variables, name: str, sizes: Chunks) -> None:
    """`Layout.rows`: queries or keys, positions last."""
    size = sizes.rows * sizes.n_chunks * sizes.chunk * sizes.K
    if not sizes.padded or sizes.K == 1:  # one row lies either way round
        local.new(name, size)
        return
    padded = local.tape.new(size, "padded")
    local.new(name, size)
    local.tape.free(padded)


def decays(tape: Tape, local: Variables, sizes: Chunks) -> None:
    """`Decays.of`: one set for all chunks where only ALiBi decays, in float64 until it is done."""
    chunk = sizes.chunk
    local.new("causal", chunk * chunk)
    if not sizes.decaying:
        return
    rows = sizes.rows if sizes.gated else sizes.H
    n = sizes.n_chunks if sizes.gated or sizes.padded else 1
    inner = Variables(tape)
    if sizes.padded:
        inner.new("padded", rows * n * chunk)
    double = tape.new(rows * n * chunk, "log gates", FLOAT64)
    inner.new("summed log gates", rows * n * chunk, FLOAT64)
    tape.free(double)
    inner.new("later", rows * n * chunk * chunk, FLOAT64)
    tape.passing(chunk * chunk, BOOL)
    local.new("decays", rows * n * chunk * chunk)
    converted = tape.new(rows * n * chunk, "summed log gates, converted")
    local.new("decays since the start", rows * n * chunk)
    tape.free(converted)
    inner.new("difference", rows * n * chunk, FLOAT64)
    local.new("decays until the end", rows * n * chunk)
    inner.gone()


def n_monomials(head_dim: int, degree: int) -> int:
    return comb(head_dim + degree - 1, degree)


def levels(tape: Tape, local: Variables, sizes: Chunks, n: int, up_to: int) -> None:
    """`PolynomialMap._levels` of n chunks: each from two selections of rows."""
    local.new("degree 0", sizes.rows * n * sizes.chunk)
    for degree in range(2, up_to + 1):
        size = sizes.rows * n * n_monomials(sizes.K, degree) * sizes.chunk
        first = tape.new(size, "first variables")
        selected_from(tape, sizes, n)
        rest = tape.new(size, "the rest of the monomials")
        if degree == 2:
            selected_from(tape, sizes, n)
        local.new(f"degree {degree}", size)
        tape.free(first, rest)


def selected_from(tape: Tape, sizes: Chunks, n: int) -> None:
    """Rows are selected from a contiguous copy: one chunk of several is a view that is not contiguous."""
    if n == 1 < sizes.n_chunks and sizes.rows > 1:
        tape.passing(sizes.rows * sizes.K * sizes.chunk)


def monomials(tape: Tape, sizes: Chunks, n: int) -> Storage | None:
    """`PolynomialMap.monomials` of n chunks; None where they are the variables themselves."""
    return tape.once(("monomials", sizes, n), lambda: _monomials(tape, sizes, n))


def _monomials(tape: Tape, sizes: Chunks, n: int) -> Storage | None:
    feature_map, local, result = sizes.feature_map, Variables(tape), None
    levels(tape, local, sizes, n, feature_map.degree)
    if len(feature_map.used_degrees) > 1:
        result = tape.new(sizes.rows * n * sizes.P * sizes.chunk, "monomials")
    elif feature_map.degree > 1:
        result = local.pop(f"degree {feature_map.degree}")
    local.gone()
    return result


def monomials_of_slice(tape: Tape, sizes: Chunks, n: int) -> list[Storage]:
    """The monomials of n chunks, batch and heads joined; the chunks' copy where it serves as those."""
    copy = [tape.new(sizes.rows * n * sizes.K * sizes.chunk, "chunks of a group")] if sizes.copies(n) else []
    phi = monomials(tape, sizes, n)
    if phi is None:
        return copy
    tape.free(*copy)
    return [phi]


def times(tape: Tape, size: int, name: str, copies: list[int]) -> Storage:
    """A batch of matmuls, operands of these sizes copied first."""
    operands = [tape.new(copy, f"operand of {name}") for copy in copies]
    result = tape.new(size, name)
    tape.free(*operands)
    return result


def similarity(tape: Tape, sizes: Chunks, scores: Storage, size: int) -> Storage:
    """`PolynomialMap.similarity`; frees the scores, unless they are the result."""
    feature_map = sizes.feature_map
    if len(feature_map.used_degrees) == 1:
        value = power(tape, scores, size, feature_map.degree)
        if feature_map.coefficients[-1] != 1.0:
            value, before = tape.new(size, "weights in the chunks"), value
            tape.free(before)
    else:
        value = tape.new(size, "weights in the chunks")
        for _ in feature_map.coefficients[:-1]:
            product, total = tape.new(size, "weights in the chunks"), tape.new(size, "weights in the chunks")
            tape.free(product, value)
            value = total
    tape.free(scores)
    return value


def power(tape: Tape, x: Storage, size: int, exponent: int) -> Storage:
    """`feature_maps._power`, by squaring; x itself, held once more, for an exponent of 1."""
    if exponent == 0:
        return tape.new(size, "ones")
    if exponent == 1:
        x.holders += 1
        return x
    half = power(tape, x, size, exponent // 2)
    result = tape.new(size, "power of the scores")
    if exponent % 2:
        result, square = tape.new(size, "power of the scores"), result
        tape.free(square)
    tape.free(half)
    return result


def decayed(tape: Tape, sizes: Chunks, n: int) -> list[Storage]:
    """Values or readings of n chunks times their decays, batch and heads joined: what is fresh of it."""
    size, copied = sizes.rows * n * sizes.chunk * sizes.V, sizes.strided_copies(n)
    if not sizes.decaying:
        return [tape.new(size, "values of a group")] if copied else []
    product = tape.new(size, "values of a group, decayed")
    if sizes.normalised or sizes.padded or sizes.H == 1 or not copied:
        return [product]
    joined = tape.new(size, "values of a group, decayed")
    tape.free(product)
    return [joined]
