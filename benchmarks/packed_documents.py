"""Rows of packed documents against the same rows taken whole: a mixer's chunked form, both passes, float32.

    python benchmarks/packed_documents.py

Width 128, batch 2, documents of 256 positions on average. Bound: softmax attention, which skips what no query sees,
takes at most 0.7 of the whole rows' time at 2048 positions, and at most 0.4 at 8192. The others read every position
either way: their ratio is the price of resets. Writes benchmarks/records/packed_documents.json.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from isostate.mixers import Documents, build_mixer
from isostate.mixers.linear import LinearConfig
from isostate.mixers.mamba import MambaConfig
from isostate.mixers.mamba2 import Mamba2Config
from isostate.mixers.s4 import S4Config
from isostate.mixers.softmax import SoftmaxConfig
from isostate.train.heap import keep_freed_memory
from side_by_side import compare, machine, serve

ROUNDS, THREADS = 5, 2
BATCH, WIDTH, MEAN = 2, 128, 256
BOUNDS = {2048: 0.7, 8192: 0.4}
RECORD = Path(__file__).parent / "records" / "packed_documents.json"
MIXERS = {
    "softmax": SoftmaxConfig(d_model=WIDTH, positions="rotary"),
    "linear": LinearConfig(d_model=WIDTH),
    "mamba2": Mamba2Config(d_model=WIDTH),
    "mamba": MambaConfig(d_model=WIDTH),
    "s4": S4Config(d_model=WIDTH),
}


def documents(length):
    """As many in every row as make them MEAN positions long, begun anywhere."""
    generator = torch.Generator().manual_seed(0)
    starts_BT = torch.zeros(BATCH, length, dtype=torch.bool)
    for row in range(BATCH):
        starts_BT[row, torch.randperm(length, generator=generator)[: length // MEAN]] = True
    return Documents(starts_BT)


def run(name, length, packed):
    keep_freed_memory()  # as training does
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    mixer, x_BTD = build_mixer(MIXERS[name]), torch.randn(BATCH, length, WIDTH, requires_grad=True)

    def play():
        given = documents(length) if packed else None
        mixer(x_BTD, documents=given)[0].sum().backward()

    return play


CONTESTANTS = {
    f"{name} {length} {'packed' if packed else 'whole'}": lambda name=name, length=length, packed=packed: run(
        name, length, packed
    )
    for length in BOUNDS
    for name in (MIXERS if length == min(BOUNDS) else ["softmax"])
    for packed in (False, True)
}
serve(CONTESTANTS)

if __name__ == "__main__":
    rows = compare(list(CONTESTANTS), ROUNDS, THREADS)
    print(f"packed documents, width {WIDTH}, batch {BATCH} ({machine(THREADS)}; medians of {ROUNDS})")
    shares = {}
    for name in CONTESTANTS:
        mixer, length, which = name.split()
        if which == "packed":
            packed, whole = rows[name]["seconds"], rows[f"{mixer} {length} whole"]["seconds"]
            shares[f"{mixer} {length}"] = round(packed / whole, 2)
            print(f"  {mixer:8} {length:>5} packed {packed * 1e3:7.1f} ms, whole {whole * 1e3:7.1f} ms")
    for length, bound in BOUNDS.items():
        share = shares[f"softmax {length}"]
        verdict = "holds" if share <= bound else "MISSED"
        print(f"  softmax at {length}: {share:.2f} of the time: {verdict} (at most {bound})")
    milliseconds = {
        name: {key: round(row[key] * 1e3, 2) for key in ("seconds", "low", "high")} for name, row in rows.items()
    }
    record = {"machine": machine(THREADS), "rounds": ROUNDS, "shares": shares, "ms": milliseconds}
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
