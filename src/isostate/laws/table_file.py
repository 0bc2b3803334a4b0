"""Files of anybody's table: CSV, JSONL or Parquet, each also gzipped, with every mistake told in one line."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from pathlib import Path
from typing import Any

from isostate.config import UserError
from isostate.laws.table import Table, flatten, from_rows


def read_table(path: Path) -> Table:
    """Reads .csv, .jsonl or .parquet (each also .gz). Raises UserError for what is missing, empty or not a table."""
    if not path.is_file():
        raise UserError(f"no file {path}; give a table as .csv, .jsonl or .parquet")
    packed = path.name.lower().endswith(".gz")
    kind = path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind not in ("csv", "jsonl", "parquet"):
        raise UserError(f"{path.name}: a table is .csv, .jsonl or .parquet, not .{kind}")
    content = path.read_bytes()
    if packed:
        try:
            content = gzip.decompress(content)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise UserError(f"{path.name}: not a whole gzip file ({error}); pack it again") from None
    if kind == "parquet":
        rows = _parquet_rows(path, content)
    else:
        try:
            text = content.decode("utf-8-sig")  # spreadsheets begin a file with a byte order mark
        except UnicodeDecodeError as error:
            raise UserError(f"{path.name}: not UTF-8 text at byte {error.start}; save it as UTF-8") from None
        if "\0" in text:
            raise UserError(f"{path.name}: a NUL at character {text.index(chr(0))}, so it is binary, not a table")
        rows = _csv_rows(path, text) if kind == "csv" else _json_rows(path, text)
    if not any(rows):
        raise UserError(f"{path.name}: holds no rows; give a header and a run a line")
    return from_rows(rows)


def _csv_rows(path: Path, text: str) -> list[dict[str, Any]]:
    reader = csv.reader(io.StringIO(text), skipinitialspace=True)
    try:
        lines = [line for line in reader if line]
    except csv.Error as error:
        raise UserError(f"{path.name}, line {reader.line_num}: not CSV ({error})") from None
    header = [name.strip() for name in lines[0]] if lines else []
    _refuse_twins(path, header)
    for i, line in enumerate(lines[1:], 1):
        if len(line) > len(header):
            raise UserError(f"{path.name}, row {i}: {len(line)} cells under {len(header)} names; mend the row")
    return [dict(zip(header, line, strict=False)) for line in lines[1:]]


def _json_rows(path: Path, text: str) -> list[dict[str, Any]]:
    rows = []
    for i, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            flat = flatten(row) if isinstance(row, dict) else None
        except (ValueError, RecursionError) as error:
            raise UserError(f"{path.name}, line {i}: not one JSON object a line ({error})") from None
        if flat is None:
            raise UserError(f"{path.name}, line {i}: not one JSON object a line, but {line.strip()[:40]!a}")
        rows.append(flat)
    return rows


def _refuse_twins(path: Path, names: list[str]) -> None:
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path.name}: two columns are called {twice!r}; rename one")


def _parquet_rows(path: Path, content: bytes) -> list[dict[str, Any]]:
    try:
        import pyarrow.parquet as parquet  # the optional extra [parquet]
    except ImportError:
        raise UserError("Parquet needs pyarrow: pip install 'isostate[parquet]'") from None
    try:
        table = parquet.read_table(io.BytesIO(content))
    except (OSError, ValueError) as error:
        raise UserError(f"{path.name}: not a Parquet file ({str(error).splitlines()[0]})") from None
    _refuse_twins(path, table.column_names)
    return table.to_pylist()
