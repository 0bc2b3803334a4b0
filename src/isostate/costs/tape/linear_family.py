"""The linear family on a tape, in its chunked form, from the empty state: `mixers/linear_family.py`."""

from __future__ import annotations

from isostate.costs.tape.chunked import chunked
from isostate.costs.tape.chunks import Chunks, Variables, n_monomials
from isostate.costs.tape.engine_kernel import engine, runs_engine
from isostate.costs.tape.operations import FLOAT64, INT64, copied, gradient, pointwise, shifted
from isostate.costs.tape.projections import Heads, Read, Table, by_head, projected, qkv_tables
from isostate.costs.tape.tape import Storage, Tape, Value
from isostate.mixers import Form
from isostate.mixers.feature_maps import PolynomialMap
from isostate.mixers.linear import LinearConfig
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.recurrence import best_chunk


def linear_family(
    tape: Tape, config: LinearFamilyConfig, x: Value, batch: int, context: int, form: Form
) -> tuple[Value, list[Storage]]:
    """The mixer's output, and the storages of its state."""
    assert form == "chunked", f"the tape tells no {form} form of {config.family}"
    heads = Heads(batch, context, config.n_heads, config.n_heads, config.head_dim)
    sizes = Chunks.of(config, batch, context)

    def attend(tape: Tape, q: Value, k: Value, v: Value, gate: Value) -> Read:
        q, k = _before_map(tape, config, q), _before_map(tape, config, k)
        log_gate = _log_gate(tape, config, gate)
        if runs_engine(tape.kernels, tape.element_bytes):
            y, state = engine(tape, sizes, config.n_heads, config.chunk, q, k, v, log_gate)
            tape.free(q, k, *([log_gate] if log_gate else []))
            return Read(y, True, state)
        y, state = from_empty(tape, sizes, by_head(heads.T, heads.H, heads.K), q, k, v, log_gate)
        tape.free(q, k, *([log_gate] if log_gate else []))
        by_position = not (sizes.normalised or sizes.padded)  # the reading lies as the values do
        return Read(y, by_position or (heads.H == 1 and (not sizes.padded or 1 in (batch, context))), state)

    return projected(tape, config, x, heads, config.n_heads if sizes.gated else 0, attend)


def backward_flops(config: LinearFamilyConfig, forward: int, batch: int, context: int, form: Form) -> int:
    """The engine's."""
    V, rows = config.head_dim + (config.normaliser == "sum"), batch * config.n_heads
    return engine_backward_flops(config.feature_map, V, rows, context, form, config.chunk)


def engine_backward_flops(
    feature_map: PolynomialMap, value_size: int, rows: int, context: int, form: Form, chunk: int | None
) -> int:
    """Scores are made once more; nothing is done for the last state, which nobody reads, nor for the empty one."""
    P, K, V = feature_map.expanded_size, feature_map.head_dim, value_size
    if form == "recurrent":
        return 0
    if form == "parallel":
        return 2 * rows * context * (2 * context * (K + V) + P * V)
    chunk = chunk or best_chunk(feature_map, V, context)
    n_chunks = -(-context // chunk)
    return 2 * rows * chunk * (n_chunks * chunk * (3 * K + 2 * V) + 4 * (n_chunks - 1) * P * V)


def tables(config: LinearFamilyConfig, context: int, element_bytes: int) -> list[Table]:
    """Those of positions, the weights of the monomials, and what they are made of."""
    slopes = [Table("slopes of retention", config.n_heads * element_bytes)] if config.decay == "retention" else []
    return [*qkv_tables(config, context, element_bytes), *slopes, *map_tables(config.feature_map)]


def map_tables(feature_map: PolynomialMap) -> list[Table]:
    """`feature_maps._weights` and `_factors`."""
    degrees = range(2, feature_map.degree + 1)
    factors = sum(2 * n_monomials(feature_map.head_dim, degree) * INT64 for degree in degrees)
    weights = Table("weights of monomials", feature_map.expanded_size * FLOAT64, of=feature_map)
    return [weights, Table("numbers of monomials", factors, of=(feature_map.head_dim, feature_map.degree))]


def _before_map(tape: Tape, config: LinearFamilyConfig, x: Value) -> Value:
    if not isinstance(config, LinearConfig) or config.phi == "identity":
        return tape.also(x)
    y = pointwise(tape, [x], [x.storage], f"{config.phi} of {x.storage.name}")
    if config.phi == "softplus":
        return y
    raised = shifted(tape, y, f"{config.phi} of {x.storage.name}")
    tape.free(y)
    return raised


def _log_gate(tape: Tape, config: LinearFamilyConfig, gate: Value) -> Value | None:
    """The log of the gates, a fixed decay in it; without gates that decay, a number a head, or nothing."""
    if config.gate == "none":
        return tape.value(config.n_heads, "decay of each head") if config.fixed_decay else None
    own_bias = config.bias == "none"  # else it is part of the projection's
    raised = biased(tape, gate, config.n_heads, "gates, biased") if own_bias else tape.also(gate)
    log_gate = _log_sigmoid(tape, raised, is_part=not own_bias)
    if config.fixed_decay:
        open_gate, log_gate = log_gate, shifted(tape, log_gate, "log of the gates and decay")
        tape.free(open_gate)
    tape.free(raised)
    return log_gate


def biased(tape: Tape, x: Value, n_biases: int, name: str) -> Value:
    """x plus parameters, one a head."""
    y = tape.value(x.size, name)

    def back() -> None:
        given = tape.gradient_of(y)
        tape.passing(n_biases)
        tape.arrive(x, given)

    tape.node(back)
    return y


def _log_sigmoid(tape: Tape, x: Value, is_part: bool) -> Value:
    """Keeps x and a buffer; what is part of the projection is made contiguous first."""
    before = tape.keep(x.storage)
    y = tape.value(x.size, "log of the gates")
    buffer = tape.new(x.size, "buffer of the log of the gates")
    if is_part:
        tape.passing(x.size)
    after = tape.keep(buffer)
    tape.free(buffer)

    def back() -> None:
        tape.unpack(before)
        given = tape.gradient_of(y)
        arriving = gradient(tape, x)
        tape.done(given, before, after)
        tape.arrive(x, arriving)

    tape.node(back)
    return y


def from_empty(
    tape: Tape, sizes: Chunks, layout: int, q: Value, k: Value, v: Value, log_gate: Value | None
) -> tuple[Value, list[Storage]]:
    """`recurrence.chunked`: what is read, and the storages of the state after. `layout` is that of the values."""
    local, state_size = Variables(tape), sizes.rows * sizes.P * sizes.V
    weights = local.new("weights of monomials", sizes.P)
    if sizes.normalised:
        v = copied(tape, v, "values and ones", sizes.rows * sizes.T * sizes.V, layout)
        joined = tape.new(state_size, "empty state, joined")
        local.new("carried", state_size)
        tape.free(joined)
    else:
        v = tape.also(v)
        local.new("carried", state_size)
    y, last = chunked(tape, sizes, q, k, v, log_gate)
    state = [tape.new(state_size, "state")]
    if not tape.keeps_nothing:
        weights.holders += 1
        state.append(weights)
    local.gone()
    tape.free(last, v)
    return y, state
