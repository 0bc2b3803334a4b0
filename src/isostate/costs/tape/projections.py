"""What all mixers have around their forms, on a tape: `mixers/projections.py`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import NamedTuple

from isostate.costs.tape.norms import rms_norm
from isostate.costs.tape.operations import add, copied, gradient, joined, linear, pointwise, split, unflattened
from isostate.costs.tape.tape import HEADS, TOKENS, TURNED, Storage, Tape, Value
from isostate.mixers.projections import QKVConfig


class Table(NamedTuple):
    """A tensor that the first step makes and all further ones find; `kept`: a graph keeps it, once for all layers.

    Equal tables are one: `of` says what a name and a size leave open.
    """

    name: str
    nbytes: int
    kept: bool = False
    of: Hashable = None


class Heads(NamedTuple):
    """Sizes of one call: batch, positions, heads, key-value heads, size of a head."""

    B: int
    T: int
    H: int
    G: int
    K: int

    @property
    def wide(self) -> int:
        """Elements of all queries."""
        return self.B * self.T * self.H * self.K

    @property
    def narrow(self) -> int:
        """Elements of all keys, or of all values."""
        return self.B * self.T * self.G * self.K

    @property
    def copies(self) -> bool:
        """Whether batch and heads, seen as one, are a copy of what lies position by position."""
        return self.B > 1 and self.H > 1


class Read(NamedTuple):
    """What a form returns: what was read, whether it lies position by position, what the state after it holds."""

    y: Value
    in_tokens: bool
    state: list[Storage]


def qkv_tables(config: QKVConfig, context: int, element_bytes: int) -> list[Table]:
    """Rotary's cosines and sines, or ALiBi's slopes."""
    if config.positions == "alibi":
        return [Table("slopes", config.n_heads * element_bytes)]
    nbytes = context * config.head_dim * element_bytes
    names = ("cosines", "sines") if config.positions == "rotary" else ()
    return [Table(f"rotary {name}", nbytes, kept=True, of=(config.head_dim, config.rotary)) for name in names]


Attend = Callable[[Tape, Value, Value, Value, Value], Read]  # queries, keys, values, gates


def projected(
    tape: Tape, config: QKVConfig, x: Value, heads: Heads, n_gates: int, attend: Attend
) -> tuple[Value, list[Storage]]:
    """`QKVMixer.forward`: its output, and the storages of the state it returns."""
    rows = heads.B * heads.T
    wide, narrow = heads.wide // rows, heads.narrow // rows
    n_out = wide + 2 * narrow + n_gates
    whole = linear(tape, x, rows, config.d_model, n_out, config.bias != "none", "queries, keys and values")
    *parts, gate = split(tape, whole, [heads.wide, heads.narrow, heads.narrow, rows * n_gates])
    q, k, v = (unflattened(tape, part) for part in parts)
    tape.free(whole, *parts)
    variables = [q, k, v, gate]
    if config.qk_norm == "rms":
        plain = q, k
        q = rms_norm(tape, q, rows * heads.H, "query norm", strided=True)
        k = rms_norm(tape, k, rows * heads.G, "key norm", strided=True)
        tape.free(*plain)
        variables[:2] = [q, k]
    if config.positions == "rotary":
        q, k = rotated(tape, q, "queries"), rotated(tape, k, "keys")
        variables += [q, k]
    y, in_tokens, state = attend(tape, q, k, v, gate)
    flat = tape.also(y) if in_tokens else copied(tape, y, "what the mixer read, heads joined", heads.wide)
    out = linear(tape, flat, rows, wide, config.d_model, config.bias == "all", "mixer output")
    tape.free(flat, y, *variables)
    return out, state


def rotated(tape: Tape, x: Value, name: str) -> Value:
    """Rotary positions. The tables of cosines and sines are kept too, once for all layers (`shared_tables`)."""
    first, second = split(tape, x, [x.size // 2, x.size // 2])
    cosined = pointwise(tape, [x], [], f"{name} times cosines")
    negative = pointwise(tape, [second], [], f"minus the second half of {name}")
    swapped = joined(tape, [negative, first], f"halves of {name}, swapped")
    tape.free(negative)
    sined = pointwise(tape, [swapped], [], f"{name} times sines")
    tape.free(swapped)
    turned = add(tape, cosined, sined, f"rotated {name}")
    tape.free(cosined, sined, first, second)
    return turned


def per_query_head(tape: Tape, x: Value, heads: Heads, name: str) -> Value:
    """Keys or values repeated for the query heads of a group, head by head."""
    if heads.G == heads.H:
        return tape.also(x)
    y = tape.value(x.size * heads.H // heads.G, f"repeated {name}")

    def back() -> None:
        given = tape.gradient_of(y)
        arriving = gradient(tape, x, by_head(heads.T, heads.G, heads.K))
        tape.free(given)
        tape.arrive(x, arriving)

    tape.node(back)
    return y


def by_head(positions: int, n_heads: int, head_dim: int) -> int:
    """The layout head by head; of one head or position it is position by position too, of size 1 seen as that."""
    if n_heads == 1 or positions == 1:
        return TOKENS
    return HEADS if head_dim > 1 else TURNED
