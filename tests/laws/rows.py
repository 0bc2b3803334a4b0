"""Planted laws as tables: rows of runs, and files of them in every format."""

from __future__ import annotations

import csv
import gzip
import io
import json

import numpy as np
import pytest

from isostate.laws import LAWS
from tests.laws.planted import PLANTED

NAMES = {"N": "n_params", "D": "n_tokens", "C": "flops", "S": "state", "T": "context", "L": "loss"}


def planted_rows(name, sd=0.0, seed=0):
    """A row a point of the planted case, its columns called as people call them, with noise of `sd` in the log."""
    law, case = LAWS[name], PLANTED[name]
    y = law.predict(case.values, case.inputs)
    y = y * np.exp(sd * np.random.default_rng(seed).normal(size=len(y)))
    columns = {NAMES.get(symbol, symbol): case.inputs[symbol] for symbol in law.inputs} | {NAMES[law.output]: y}
    return [dict(zip(columns, map(float, row), strict=True)) for row in zip(*columns.values(), strict=True)]


def write(path, rows):
    """Writes rows as the path's ending says; returns the path."""
    name = path.name.lower()
    if name.endswith(".parquet"):
        pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
        parquet.write_table(pa.Table.from_pylist(rows), path)
        return path
    if "csv" in name:
        file = io.StringIO()
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
        text = file.getvalue()
    else:
        text = "\n".join(json.dumps(row) for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return path
