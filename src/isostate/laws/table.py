"""Anybody's table: CSV, JSONL or Parquet to columns, with every mistake told in one line; and fitting one.

A table is a dict of equally long columns (numpy arrays of float64 where every value is a number, of objects elsewhere).
"""

from __future__ import annotations

import csv
import gzip
import json
import operator
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isostate.config import UserError, nearest
from isostate.laws.fit import fit_law
from isostate.laws.law import Array, Law
from isostate.laws.result import Fit
from isostate.laws.single import fit_power

Table = dict[str, NDArray[Any]]
# Columns whose value must not change within one fit: losses over other text, tokens or counts are not comparable.
MUST_NOT_MIX = ("tokenizer", "corpus", "dataset", "param_count", "loss_unit", "vocab_size")
COMPARISONS = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt, "==": operator.eq}


def read_table(path: Path) -> Table:
    """Reads .csv, .jsonl (each also .gz) or .parquet. Raises UserError for what is missing, empty or not a table."""
    if not path.is_file():
        raise UserError(f"no file {path}; give a table as .csv, .jsonl or .parquet")
    kind = path.name.removesuffix(".gz").rpartition(".")[2].lower()
    if kind == "parquet":
        return _from_parquet(path)
    if kind not in ("csv", "jsonl"):
        raise UserError(f"{path.name}: a table is .csv, .jsonl or .parquet, not .{kind}")
    try:
        with gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8") as file:
            rows = list(csv.DictReader(file)) if kind == "csv" else [json.loads(line) for line in file if line.strip()]
    except (UnicodeDecodeError, gzip.BadGzipFile) as error:
        raise UserError(f"{path.name}: not UTF-8 text ({error}); save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path.name}: not one JSON object a line ({error.msg})") from None
    if not rows or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path.name}: holds no rows; give a header and a run a line")
    return from_rows(rows)


def from_rows(rows: list[dict[str, Any]]) -> Table:
    """Rows (of a file, or of a study's records; nested values become dotted names) to columns."""
    flat = [_flatten(row) for row in rows]
    names = list(dict.fromkeys(name for row in flat for name in row))
    return {name: _column([row.get(name) for row in flat]) for name in names}


def numbers(table: Table, name: str) -> Array:
    """The column as float64. Raises UserError naming the nearest column, or the row that is no number."""
    if name not in table:
        raise UserError(f"no column {name!r}{nearest(name, table)}; columns: {', '.join(table)}")
    column = table[name]
    if column.dtype == np.float64:
        return column
    bad = next(i for i, value in enumerate(column) if not isinstance(value, float))
    raise UserError(f"column {name!r}, row {bad + 1}: {column[bad]!r} is not a number; drop the row or mend it")


def where(table: Table, condition: str) -> NDArray[np.bool_]:
    """Rows for which `condition`, such as flops>1e21 or corpus==bard, holds."""
    match = re.fullmatch(r"\s*([\w.]+)\s*(>=|<=|==|>|<)\s*(.+?)\s*", condition)
    if not match:
        raise UserError(f"condition {condition!r}: expected column, one of {' '.join(COMPARISONS)}, value: flops>1e21")
    name, sign, text = match.groups()
    if sign == "==" and name in table and table[name].dtype != np.float64:
        return np.array([str(value) == text for value in table[name]])
    try:
        bound = float(text)
    except ValueError:
        raise UserError(f"condition {condition!r}: {text!r} is not a number") from None
    return np.asarray(COMPARISONS[sign](numbers(table, name), bound))


def fit_table(
    table: Table, law: Law, x: Mapping[str, str], y: str, *, holdout: str | None = None, **options: Any
) -> Fit:
    """Fits `law` to a table: `x` maps the law's inputs to columns, `y` names the loss, `holdout` is a condition.

    Power laws in one resource use the small-sample fit unless an objective is named.
    """
    missing = [symbol for symbol in law.inputs if symbol not in x]
    if missing:
        raise UserError(f"law {law.name!r} takes {', '.join(law.inputs)}; name a column for {missing[0]}")
    inputs = {symbol: numbers(table, x[symbol]) for symbol in law.inputs}
    observed = numbers(table, y)
    if "L_inf" in law.names and not holdout and options.get("objective") is None:
        small = {key: value for key, value in options.items() if key in ("level", "bootstrap", "seed", "weights")}
        fit = fit_power(law, inputs[law.inputs[0]], observed, **small)
    else:
        if holdout:
            options["holdout"] = where(table, holdout)
            if not options["holdout"].any():
                raise UserError(f"hold-out {holdout!r} holds out no row; widen it")
        fit = fit_law(law, inputs, observed, **options)
    mixed = mixtures(table)
    return replace(fit, alarms=(*fit.alarms, *mixed), advice=(*fit.advice, *(["fit each apart"] if mixed else [])))


def mixtures(table: Table) -> list[str]:
    """An alarm for every column that must not change within one fit and does."""
    alarms = []
    for name, column in table.items():
        kinds = sorted({str(value) for value in column})
        if name.rpartition(".")[2] in MUST_NOT_MIX and len(kinds) > 1:
            alarms.append(f"mixed {name}: {', '.join(kinds[:4])}; their losses do not compare")
    return alarms


def _from_parquet(path: Path) -> Table:
    try:
        import pyarrow.parquet as parquet  # the optional extra [parquet]
    except ImportError:
        raise UserError("Parquet needs pyarrow: pip install 'isostate[parquet]'") from None
    try:
        return from_rows(parquet.read_table(path).to_pylist())
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name}: not a Parquet file ({str(error).splitlines()[0]})") from None


def _flatten(row: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in row.items():
        flat |= _flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _column(values: list[Any]) -> NDArray[Any]:
    converted = [_number(value) for value in values]
    if all(isinstance(value, float) for value in converted):
        return np.array(converted, dtype=np.float64)
    column = np.empty(len(converted), dtype=object)
    column[:] = converted
    return column


def _number(value: Any) -> Any:
    """A float where the value is one; an empty cell is NaN, so that only a fit that uses its row refuses it."""
    if value is None or value == "":
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return value
    try:
        return float(value)
    except ValueError:
        return value
