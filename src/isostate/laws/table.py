"""Anybody's table as columns: conditions on its rows, and fitting it, with every mistake told in one line.

A table is a dict of equally long columns (numpy arrays of float64 where every value is a number, of objects elsewhere).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from isostate.config import UserError, nearest
from isostate.laws.fit import fit_law
from isostate.laws.law import Array, Law
from isostate.laws.resample import Scheme
from isostate.laws.result import Fit
from isostate.laws.single import fit_power

Table = dict[str, NDArray[Any]]
# Columns whose value must not change within one fit: losses over other text, tokens or counts are not comparable.
MUST_NOT_MIX = ("tokenizer", "corpus", "dataset", "param_count", "loss_unit", "vocab_size")
ONE_LAW_EACH = ("family",)  # losses that compare, of things that each have a law of their own
RUNS = ("run", "run_id", "run_name", "hyper_id")  # columns that name the run of each row
COMPARISONS = {
    **{">=": operator.ge, "<=": operator.le, "==": operator.eq},
    **{"!=": operator.ne, ">": operator.gt, "<": operator.lt},
}
SMALL_SAMPLE = {"level", "bootstrap", "seed", "weights"}  # the options that the small-sample fit knows
FURTHEST = 1e75  # beyond it, or below its inverse, products of a law's inputs leave the range of floats
NAMED = 24  # columns that a message lists


def from_rows(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Rows (of a file, or of a study's records; nested values become dotted names) to columns."""
    flat = [flatten(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    return {name: _column([row.get(name) for row in flat]) for name in names}


def flatten(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values under dotted names: {"a": {"b": 1}} becomes {"a.b": 1}."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def listing(names: Iterable[str]) -> str:
    """Names for a message: those with the fewest dots first, the rest counted, nothing that a terminal would obey."""
    ordered = sorted((str(name) for name in names), key=lambda name: name.count("."))
    more = f" and {len(ordered) - NAMED} more" if len(ordered) > NAMED else ""
    return ", ".join(name if name.isprintable() else ascii(name) for name in ordered[:NAMED]) + more


def numbers(table: Table, name: str, row_n: NDArray[np.intp] | None = None) -> Array:
    """The column as float64. Raises UserError naming the nearest column, or the row that is no number.

    `row_n` are the rows' places in the whole table, where this is a part of one.
    """
    column = _existing(table, name)
    if column.dtype == np.float64:
        return column
    bad = next(i for i, value in enumerate(column) if not isinstance(value, float))
    told = f"column {name!r}, row {_place(bad, row_n)}: {_shown(column[bad])} is not a number"
    advice = f", or leave such rows out by a condition: {name}!={column[bad]}" if isinstance(column[bad], str) else ""
    raise UserError(f"{told}; mend the row{advice}")


def positive(table: Table, name: str, row_n: NDArray[np.intp] | None = None) -> Array:
    """The column, if every value is a positive finite number."""
    column = numbers(table, name, row_n)
    bad = np.flatnonzero(~np.isfinite(column) | (column <= 0))
    if len(bad):
        told = f"column {name!r}, row {_place(int(bad[0]), row_n)}: {column[bad[0]]:g} is not a positive finite number"
        raise UserError(f"{told}; mend the row, or leave such rows out by a condition: {name}>0")
    far = np.flatnonzero((column > FURTHEST) | (column < 1.0 / FURTHEST))
    if len(far):
        told = f"column {name!r}, row {_place(int(far[0]), row_n)}: {column[far[0]]:g} is no amount of anything"
        raise UserError(f"{told}; check its unit")
    return column


def _place(row: int, row_n: NDArray[np.intp] | None) -> int:
    return 1 + (row if row_n is None else int(row_n[row]))


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def where(table: Table, condition: str) -> NDArray[np.bool_]:
    """Rows for which `condition`, such as flops>1e21 or corpus==bard, holds."""
    match = re.fullmatch(r"\s*(.+?)\s*(>=|<=|==|!=|>|<)\s*(.+?)\s*", condition)
    if not match:
        raise UserError(f"condition {condition!r}: expected column, one of {' '.join(COMPARISONS)}, value: flops>1e21")
    name, sign, text = match.groups()
    column = _existing(table, name)
    bound = _number(text)
    if sign in ("==", "!=") and column.dtype != np.float64:
        return np.array([_same(value, bound) for value in column]) == (sign == "==")
    if not isinstance(bound, float):
        raise UserError(f"condition {condition!r}: {text!r} is not a number")
    return np.asarray(COMPARISONS[sign](numbers(table, name), bound))


def select(table: Table, conditions: Sequence[str]) -> tuple[Table, NDArray[np.intp]]:
    """The rows for which every condition holds, one condition after the other, and their places in `table`."""
    row_n = np.arange(len(next(iter(table.values()))))
    for condition in conditions:
        kept = where(table, condition)
        if not kept.any():
            raise UserError(f"condition {condition!r} holds for none of {len(kept)} rows; widen it")
        # made again, since a column may hold nothing but numbers once its other rows are gone
        table = {name: _column(list(column[kept])) for name, column in table.items()}
        row_n = row_n[kept]
    return table, row_n


def fit_table(
    table: Table, law: Law, x: Mapping[str, str], y: str, *, holdout: str | None = None, weights: str | None = None,
    clusters: str | None = None, row_n: NDArray[np.intp] | None = None, **options: Any,
) -> Fit:  # fmt: skip
    """Fits `law` to a table: `x` maps the law's inputs to columns, `y`, `weights` and `clusters` name columns.

    `holdout` is a condition, "none", or None for the largest tenth; `row_n` the rows' places in the whole table, for
    messages. Power laws in one resource use the small-sample fit unless an option is given that only others know.
    """
    missing = [symbol for symbol in law.inputs if symbol not in x]
    if missing:
        raise UserError(f"law {law.name!r} takes {', '.join(law.inputs)}; name a column for {missing[0]}")
    inputs = {symbol: positive(table, x[symbol], row_n) for symbol in law.inputs}
    observed = positive(table, y, row_n)
    if weights is not None:
        options["weights"] = positive(table, weights, row_n)
    options |= _resampling(table, law, options.get("resampling"), clusters)
    known = {name for name, value in options.items() if value is not None} <= SMALL_SAMPLE
    added: list[tuple[str, str]] = []
    if "L_inf" in law.names and known and holdout in (None, "none"):
        fit = fit_power(law, inputs[law.inputs[0]], observed, holdout=holdout is None, **_given(options))
        repeats = len(observed) - len({*zip(inputs[law.inputs[0]], observed, strict=True)})
        if repeats:
            told = f"{repeats} rows repeat others exactly"
            added.append((told, "drop copies: they narrow the intervals falsely"))
    else:
        if holdout is not None:
            options["holdout"] = None if holdout == "none" else _held_out(table, holdout)
        fit = fit_law(law, inputs, observed, **_given(options, "holdout"))
        if holdout not in (None, "none") and fit.params and fit.holdout is None:
            told = f"no hold-out: the rows beside {holdout!r} cannot carry the law"
            added.append((told, "hold out fewer rows"))
    added += [(alarm, "fit each apart") for alarm in mixtures(table)]
    if clusters is None and options.get("resampling") is None:
        added += curves(table)
    advice = dict.fromkeys([*fit.advice, *(words for _, words in added)])
    return replace(fit, alarms=(*fit.alarms, *(alarm for alarm, _ in added)), advice=tuple(advice))


def _resampling(table: Table, law: Law, scheme: str | None, clusters: str | None) -> dict[str, Any]:
    """The options of a bootstrap. Raises UserError for a scheme and clusters that do not go together."""
    if scheme is not None and scheme not in get_args(Scheme):
        schemes = ", ".join(get_args(Scheme))
        raise UserError(f"no resampling {scheme!r}{nearest(scheme, get_args(Scheme))}; there are {schemes}")
    if clusters is None:
        if scheme == "cluster":
            raise UserError("resampling of clusters needs the column that names them, such as run_id")
        return {}
    if scheme not in (None, "cluster"):
        raise UserError(f"resampling {scheme!r} knows no clusters; take cluster, or leave {clusters!r} out")
    return {"resampling": "cluster", "clusters": clusters_of(table, clusters, law)}


def clusters_of(table: Table, name: str, law: Law) -> NDArray[Any]:
    """The column as names of clusters. Raises UserError where there are too few of them to resample."""
    names = np.array([str(value) for value in _existing(table, name)])
    blank = np.flatnonzero(names == "nan")
    if len(blank):
        raise UserError(f"column {name!r}, row {blank[0] + 1}: names no cluster; every row needs one")
    count = len(np.unique(names))
    if count <= len(law.names):
        told = f"column {name!r} names {count} cluster(s), too few to resample for {len(law.names)} parameters"
        raise UserError(f"{told}; resample otherwise (residual, wild), or give more runs")
    return names


def curves(table: Table) -> list[tuple[str, str]]:
    """An alarm, with advice, where a column names runs and some have several rows, which stand or fall together."""
    for name, column in table.items():
        count = len({str(value) for value in column}) if name.rpartition(".")[2] in RUNS else len(column)
        if 1 < count < len(column):
            told = f"{len(column)} rows of {count} runs (column {name!r}): those of one run are not independent"
            return [(told, f"resample whole runs: cluster by {name}")]
    return []


def mixtures(table: Table) -> list[str]:
    """An alarm for every column that must not change within one fit and does; copies of a column alarm once."""
    found: dict[tuple[str, ...], str] = {}
    for name, column in table.items():
        last = name.rpartition(".")[2]
        kinds = sorted({str(value) for value in column}) if last in (*MUST_NOT_MIX, *ONE_LAW_EACH) else []
        if len(kinds) > 1:
            why = "their losses do not compare" if last in MUST_NOT_MIX else "each has a law of its own"
            found.setdefault((last, *kinds), f"mixed {name}: {', '.join(kinds[:4])}; {why}")
    return list(found.values())


def _held_out(table: Table, condition: str) -> NDArray[np.bool_]:
    held = where(table, condition)
    if held.all() or not held.any():
        told = "every row; nothing is left to fit" if held.all() else "no row; widen it"
        raise UserError(f"hold-out {condition!r} holds out {told}")
    return held


def _given(options: Mapping[str, Any], *kept: str) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None or name in kept}


def _existing(table: Table, name: str) -> NDArray[Any]:
    if name not in table:
        raise UserError(f"no column {name!r}{nearest(name, table)}; columns: {listing(table)}")
    return table[name]


def _same(value: Any, bound: Any) -> bool:
    if isinstance(value, bool):
        return str(value).lower() == str(bound).lower()
    return bool(value == bound) if isinstance(value, float) else str(value) == str(bound)


def _column(values: list[Any]) -> NDArray[Any]:
    converted = [_number(value) for value in values]
    if all(isinstance(value, float) for value in converted):
        return np.array(converted, dtype=np.float64)
    column = np.empty(len(converted), dtype=object)
    for i, value in enumerate(converted):  # one by one: a slice would take equally long lists for a matrix
        column[i] = value
    return column


def _number(value: Any) -> Any:
    """A float where the value is one; an empty cell is NaN, so that only a fit that uses its row refuses it."""
    if value is None or value == "":
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, (int, float, str, Decimal)):
        return value
    try:
        return float(value)
    except (ValueError, OverflowError):
        return value
