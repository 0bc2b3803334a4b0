"""Which columns of anybody's table a law reads: as named, or by the names that such columns usually have.

`--x n_params,n_tokens` (in the law's order), `--x N=n_params,D=n_tokens`, or nothing where the names are well known and
each is there once. With C given in place of N or D, C = 6 N D gives the other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isostate.config import UserError, nearest
from isostate.laws.law import Law
from isostate.laws.table import Table, listing, positive

# symbol: what it counts, and names of columns that hold it (case and punctuation aside, but for single letters)
KNOWN: dict[str, tuple[str, tuple[str, ...]]] = {
    "N": (
        "parameters",
        ("n_params", "params", "parameters", "n_parameters", "num_params", "num_parameters", "model_size",
         "model_params", "total_params", "n_params.total"),
    ),
    "D": (
        "tokens",
        ("n_tokens", "tokens", "num_tokens", "train_tokens", "training_tokens", "n_train_tokens", "total_tokens",
         "tokens_seen", "D_total_tokens"),
    ),
    "C": (
        "FLOPs",
        ("train_flops", "training_flops", "training_flop", "n_flops", "total_flops", "flops", "compute",
         "train_compute", "training_compute"),
    ),
    "S": ("elements of state", ("state", "state_size", "state_elements", "state.elements", "n_state")),
    "T": (
        "tokens of context",
        ("context", "context_length", "train_context", "sequence_length", "seq_length", "seq_len", "n_ctx"),
    ),
    "steps": ("updates", ("steps", "n_steps", "train_steps", "updates", "n_updates")),
    "U": ("unique tokens", ("unique_tokens", "n_unique_tokens", "U_unique_tokens")),
    "M": ("tokens a parameter", ("tokens_per_param", "tokens_per_parameter", "token_multiplier", "tok_mult")),
    "E": ("experts", ("experts", "n_experts", "num_experts")),
    "G": ("granularity", ("granularity",)),
    "P": ("bits a weight", ("bits", "weight_bits", "precision", "precision_bits", "train_bits")),
    "B": ("batch", ("batch_size", "batch_tokens", "global_batch_size", "batch")),
    "L": (
        "loss",
        ("loss", "loss_nats", "val_loss", "valid_loss", "validation_loss", "loss_validation", "eval_loss", "test_loss",
         "heldout_loss", "final_loss"),
    ),
    "Err": ("error", ("error", "downstream_error", "average_error")),
    "B_crit": ("critical batch", ("critical_batch", "critical_batch_size")),
    "lr": ("learning rate", ("learning_rate", "best_lr")),
    "batch": ("batch", ("best_batch", "batch_size", "batch_tokens")),
}  # fmt: skip
# The same resource counted in another way, which alone moves exponents (Pearce & Song 2024): without embeddings.
NON_EMBEDDING: dict[str, tuple[str, ...]] = {
    "N": ("n_params.non_embedding", "non_embedding_params", "n_params_non_embedding", "params_non_embedding",
          "N_no_embed", "N_non_embedding"),
    "C": ("non_embedding_flops", "flops_non_embedding", "train_flops_non_embedding", "C_no_embed"),
}  # fmt: skip
STUDY_LOSS = r"final\.\d+\.loss_nats"  # of a study's records: at each context it was evaluated at


@dataclass(frozen=True)
class Columns:
    """The table (with a column more, where one was computed), the column of each input and of the output.

    `counts` are columns that count an input in another way: {"n_params.non_embedding": {"N": that column}}.
    """

    table: Table
    x: dict[str, str]
    y: str
    counts: dict[str, dict[str, str]] = field(default_factory=dict)


def choose(
    table: Table, law: Law, x: str | None = None, y: str | None = None, row_n: NDArray[np.intp] | None = None
) -> Columns:
    """The columns that `x` and `y` name, else well-known ones; `row_n` as in `table.positive`.

    Raises UserError that names what the law needs and which columns there are.
    """
    inputs = named_inputs(law, x) if x is not None else {}
    for name in inputs.values():
        _known_column(table, name)
    if "C" in inputs and "C" not in law.inputs:
        table, inputs = _from_compute(table, inputs, row_n)
    if x is None:
        inputs = {symbol: _usual(table, law, symbol, "--x") for symbol in law.inputs}
    output = y if y is not None else _usual(table, law, law.output, "--y")
    _known_column(table, output)
    if output in inputs.values():
        raise UserError(f"column {output!r} is both an input and the {law.output} of law {law.name!r}; name another")
    counts = {}
    for symbol, others in NON_EMBEDDING.items():
        for name in _found(table, others) if symbol in law.inputs else []:
            if name != inputs[symbol]:
                counts[name] = {symbol: name}
    return Columns(table, inputs, output, counts)


def named_inputs(law: Law, text: str) -> dict[str, str]:
    """'n_params,n_tokens' or 'N=n_params,D=n_tokens' to a column of each input."""
    parts = [part.strip() for part in text.split(",")]
    takes = f"law {law.name!r} takes {', '.join(law.inputs)}"
    if not all(parts):
        raise UserError(f"--x {text!r} has an empty name; {takes}")
    named = [part.partition("=")[::2] for part in parts if "=" in part]
    if named and len(named) < len(parts):
        raise UserError(f"--x {text!r} names some inputs and not others; {takes}")
    if not named:
        if len(parts) != len(law.inputs):
            raise UserError(f"--x {text!r} names {len(parts)} column(s); {takes}, in this order")
        named = list(zip(law.inputs, parts, strict=True))
    pairs = [(symbol.strip(), column.strip()) for symbol, column in named]
    for symbol, column in pairs:
        if [s for s, _ in pairs].count(symbol) > 1 or [c for _, c in pairs].count(column) > 1:
            raise UserError(f"--x {text!r} names {symbol}={column} twice over; each input and each column once")
    inputs = dict(pairs)
    by_compute = {"N", "D"} <= set(law.inputs) and "C" in inputs and len({"N", "D"} & set(inputs)) == 1
    allowed = {*law.inputs, "C"} if by_compute else set(law.inputs)
    for symbol in inputs:
        if symbol not in allowed:
            raise UserError(f"--x {text!r}: no input {symbol!r}; {takes}")
    missing = [symbol for symbol in law.inputs if symbol not in inputs and not (by_compute and symbol in "ND")]
    if missing:
        raise UserError(f"--x {text!r} leaves out {', '.join(missing)}; {takes}")
    return inputs


def symbol_of(law: Law, name: str) -> str:
    """The law's input that `name` means: a symbol, or a usual name of its column ('n_params' is N)."""
    for symbol in law.inputs:
        if name == symbol or _plain(name) in {_plain(known) for known in _names(symbol)}:
            return symbol
    raise UserError(
        f"law {law.name!r} has no input {name!r}{nearest(name, law.inputs)}; it takes {', '.join(law.inputs)}"
    )


def words_of(symbol: str) -> str:
    """What a law's symbol counts, '' where it is not known here."""
    return KNOWN[symbol][0] if symbol in KNOWN else ""


def _from_compute(
    table: Table, inputs: Mapping[str, str], row_n: NDArray[np.intp] | None
) -> tuple[Table, dict[str, str]]:
    """C in place of N or D: the other one by C = 6 N D, as a column named by its formula."""
    given = next(symbol for symbol in ("N", "D") if symbol in inputs)
    missing = "D" if given == "N" else "N"
    name = f"{inputs['C']} / (6 {inputs[given]})"
    with np.errstate(all="ignore"):
        column = positive(table, inputs["C"], row_n) / (6.0 * positive(table, inputs[given], row_n))
    kept = {symbol: column_name for symbol, column_name in inputs.items() if symbol != "C"}
    return {**table, name: column}, {**kept, missing: name}


def _usual(table: Table, law: Law, symbol: str, option: str) -> str:
    """The one column that usually holds `symbol`."""
    found = _found(table, _names(symbol)) or _found(table, NON_EMBEDDING.get(symbol, ()))
    if symbol == "L" and not found:
        found = [name for name in table if re.fullmatch(STUDY_LOSS, name)]
    if len(found) == 1:
        return found[0]
    words = f"{symbol} ({words_of(symbol)})" if words_of(symbol) else symbol
    needs = f"law {law.name!r} needs {', '.join(law.inputs)} and {law.output}"
    if found:
        raise UserError(f"{listing(found)} could each be {words}: {needs}; choose with {option}")
    numeric = [name for name, column in table.items() if _holds_numbers(column)]
    compute = " (C in place of one means C = 6 N D)" if symbol in ("N", "D") and {"N", "D"} <= set(law.inputs) else ""
    told = f"no column is known to be {words}: {needs}{compute}"
    raise UserError(f"{told}; choose with {option} among {listing(numeric) or '(no column holds numbers)'}")


def _found(table: Table, names: tuple[str, ...]) -> list[str]:
    wanted = {_plain(name) for name in names}
    return [name for name, column in table.items() if _plain(name) in wanted and _holds_numbers(column)]


def _holds_numbers(column: NDArray[Any]) -> bool:
    return any(isinstance(value, float) and np.isfinite(value) for value in column)


def _names(symbol: str) -> tuple[str, ...]:
    return (symbol, *(KNOWN[symbol][1] if symbol in KNOWN else ()))


def _plain(name: str) -> str:
    return name if len(name) == 1 else re.sub(r"[^a-z0-9]", "", name.lower())


def _known_column(table: Table, name: str) -> None:
    if name not in table:
        raise UserError(f"no column {name!r}{nearest(name, table)}; columns: {listing(table)}")
