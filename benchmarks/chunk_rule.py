"""The engine kernel's chunk length: every choice timed, both passes, float32, two threads, against the one it makes.

    python benchmarks/chunk_rule.py

Bound: the rule's choice takes at most 1.1 times as long as the best one. Lengths alternate; medians. The constants of
`engine_kernel.best_chunk` are fitted to these times: `--fit` prints them. Writes benchmarks/records/chunk_rule.json.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import torch
from scipy.optimize import nnls

from isostate.mixers import engine_kernel
from isostate.mixers.engine_kernel import CHUNKS, Work
from isostate.mixers.feature_maps import linear_map, power_map, taylor_map
from isostate.train.heap import keep_freed_memory
from side_by_side import machine

ROUNDS, THREADS, BOUND = 7, 2, 1.1
MAPS = {"linear": linear_map, "power-2": lambda K: power_map(2, K), "power-4": lambda K: power_map(4, K)}
MAPS["taylor-2"] = lambda K: taylor_map(2, K)
# map, K, V, positions, sequences, heads
SHAPES = [
    ("linear", 8, 8, 512, 4, 4),
    ("linear", 32, 32, 256, 4, 4),
    ("linear", 32, 32, 2048, 2, 4),
    ("linear", 64, 64, 1024, 2, 4),
    ("linear", 128, 64, 1024, 1, 4),
    ("power-2", 4, 4, 512, 4, 8),
    ("power-2", 8, 8, 512, 4, 8),
    ("power-2", 16, 16, 256, 4, 4),
    ("power-2", 16, 16, 2048, 2, 4),
    ("power-2", 32, 32, 512, 2, 4),
    ("power-2", 32, 32, 2048, 1, 4),
    ("power-2", 64, 64, 1024, 1, 2),
    ("power-4", 4, 4, 512, 4, 4),
    ("power-4", 8, 8, 1024, 1, 4),
    ("taylor-2", 16, 16, 1024, 2, 4),
]
RECORD = Path(__file__).parent / "records" / "chunk_rule.json"


def step(shape):
    """One step of gated attention by this map, normalised unless linear, as a function of the chunk's length."""
    name, K, V, length, batch, heads = shape
    feature_map, normalised = MAPS[name](K), name != "linear"
    torch.manual_seed(0)
    q, k, v, dy = (torch.randn(batch, heads, length, size) for size in (K, K, V, V))
    gates = (torch.randn(batch, heads, length) + 4).sigmoid().log()
    leaves = [x.requires_grad_() for x in (q, k, v, gates)]
    matrix = torch.zeros(batch, heads, feature_map.expanded_size, V)

    def run(chunk):
        sums = matrix[..., 0] if normalised else None
        engine_kernel.chunked(*leaves, matrix, sums, feature_map, chunk)[0].backward(dy)

    return run, engine_kernel.best_chunk(feature_map, V + normalised, length)


def times(run, length):
    """{chunk: median milliseconds}."""
    chunks = [chunk for chunk in CHUNKS if chunk <= length]
    taken = {chunk: [] for chunk in chunks}
    for round_ in range(ROUNDS + 1):
        for chunk in chunks:
            began = time.perf_counter()
            run(chunk)
            if round_:
                taken[chunk].append((time.perf_counter() - began) * 1e3)
    return {chunk: round(statistics.median(values), 3) for chunk, values in taken.items()}


def fitted(rows):
    """Nanoseconds of a core for each kind of work, by least squares of relative errors."""
    left, right = [], []
    for row in rows:
        name, K, V, length, batch, heads = row["shape"]
        for chunk, ms in row["ms"].items():
            work = Work.of(MAPS[name](K), V + (name != "linear"), length, int(chunk))
            ns = ms * 1e6 * THREADS / (batch * heads * length)
            left.append([x / ns for x in (*work, 1, K + V)])
            right.append(1.0)
    return dict(zip((*Work._fields, "a position", "an element"), nnls(np.array(left), np.array(right))[0], strict=True))


def main():
    keep_freed_memory()  # as training does
    torch.set_num_threads(THREADS)
    if sys.argv[1:] == ["--fit"]:
        print(fitted(json.loads(RECORD.read_text())["rows"]))
        return
    rows = []
    print(f"chunk lengths ({machine(THREADS)}; medians of {ROUNDS})")
    for shape in SHAPES:
        run, chosen = step(shape)
        ms = times(run, shape[3])
        ratio = ms[chosen] / min(ms.values())
        rows.append({"shape": shape, "ms": ms, "chosen": chosen, "times_best": round(ratio, 3)})
        print(f"  {shape}: {ms}; {chosen} takes {ratio:.2f}: {'holds' if ratio <= BOUND else 'MISSED'}", flush=True)
    record = {"machine": machine(THREADS), "rounds": ROUNDS, "bound": BOUND, "rows": rows}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
    main()
