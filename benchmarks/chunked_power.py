"""The chunked form of power-2 attention against its own parallel form: 8192 positions, heads of 32, both passes.

    python benchmarks/chunked_power.py

Bounds: at least 3 times as fast, at most a tenth of the memory (peak of the process over what it holds before).
"""

from __future__ import annotations

import torch

from isostate.mixers import recurrence
from isostate.mixers.feature_maps import power_map
from isostate.mixers.recurrence import MatrixState
from isostate.train.heap import keep_freed_memory
from side_by_side import compare, machine, serve

ROUNDS, THREADS = 5, 2
BATCH, HEADS, CONTEXT, HEAD_DIM = 1, 2, 8192, 32


def run(form):
    keep_freed_memory()  # as training does
    torch.set_num_threads(THREADS)
    feature_map = power_map(2, HEAD_DIM)
    torch.manual_seed(0)
    q, k, v = (torch.randn(BATCH, HEADS, CONTEXT, HEAD_DIM, requires_grad=True) for _ in range(3))
    log_gate = torch.randn(BATCH, HEADS, CONTEXT).sigmoid().log().requires_grad_()
    empty = MatrixState(
        torch.zeros(BATCH, HEADS, feature_map.expanded_size, HEAD_DIM),
        torch.zeros(BATCH, HEADS, feature_map.expanded_size),
    )

    def play():
        y, _ = form(q, k, v, log_gate, empty, feature_map)
        y.sum().backward()

    return play


def nothing():
    """What a process holds that has only made the inputs: subtracted from the peaks."""
    run(recurrence.chunked)
    return lambda: None


CONTESTANTS = {
    "chunked": lambda: run(recurrence.chunked),
    "parallel": lambda: run(recurrence.parallel),
    "baseline": nothing,
}
serve(CONTESTANTS)

if __name__ == "__main__":
    results = compare(list(CONTESTANTS), ROUNDS, THREADS)
    base_bytes = results.pop("baseline")["peak_bytes"]
    print(f"power-2, T {CONTEXT}, {HEADS} heads of {HEAD_DIM}, gated ({machine(THREADS)}; medians of {ROUNDS})")
    for name, row in results.items():
        row["own_bytes"] = row["peak_bytes"] - base_bytes
        print(f"  {name:9} {row['seconds'] * 1e3:8.0f} ms, {row['own_bytes'] / 2**20:7,.0f} MB")
    speed = results["parallel"]["seconds"] / results["chunked"]["seconds"]
    memory = results["chunked"]["own_bytes"] / results["parallel"]["own_bytes"]
    print(f"  chunked is {speed:.2f} times as fast: {'holds' if speed >= 3 else 'MISSED'} (at least 3)")
    print(f"  chunked takes {memory:.3f} of the memory: {'holds' if memory <= 0.1 else 'MISSED'} (at most 0.1)")
