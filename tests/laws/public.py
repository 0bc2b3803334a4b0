"""The public tables of ../shared/data/laws; tests that need them skip, saying so, where that folder is absent."""

from __future__ import annotations

import csv
import gzip
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "laws"
needs_tables = pytest.mark.skipif(not FOLDER.exists(), reason="the public tables (../shared/data/laws) are not here")


@cache
def rows(path):
    opener = gzip.open if path.endswith(".gz") else open
    with opener(FOLDER / path, "rt") as file:
        return list(csv.DictReader(file))


def column(table, name):
    return np.array([float(row[name]) for row in table])


def load_json(path):
    return json.loads((FOLDER / path).read_text())


@cache
def epoch():
    """N, D, C, L of the 240 points that Besiroglu et al. fit: the five largest losses dropped."""
    table = rows("epoch_chinchilla/svg_extracted_data.csv")
    N, C, L = (column(table, name) for name in ("Model Size", "Training FLOP", "loss"))
    kept = np.sort(L)[-5] > L
    N, C, L = N[kept], C[kept], L[kept]
    return {"N": N, "D": C / (6 * N), "C": C, "L": L}


def clark(router):
    """Dense and routed runs at their last step, as the authors' example notebook selects them."""
    last = {}
    for row in rows("clark_routed/curves.csv.gz"):
        best = last.get(row["hyper_id"])
        if best is None or float(row["step"]) > float(best["step"]):
            last[row["hyper_id"]] = row
    return [
        row
        for row in last.values()
        if float(row["routing_frequency"]) == 0.5
        and float(row["k"]) == 1
        and row["seed"] == "42"
        and row["router_type"] in ("Dense", router)
    ]
