"""The selective scan against mambapy's parallel one: Mamba's, 128 channels of 32 states, batch 2, both passes, float32.

    python benchmarks/scan.py

Bounds: at least 5 times as fast at 512 positions, 10 times at 2048. Beside them: our chunked form in torch, which runs
where no kernel can be built, our parallel form, and the kernel at 8192. Equal results are checked first.
mambapy comes from PyPI into build/peers. Writes benchmarks/records/scan.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from isostate.mixers import scan, scan_kernel
from isostate.train.heap import keep_freed_memory
from side_by_side import compare, machine, serve

ROUNDS, THREADS = 9, 2
BATCH, CHANNELS, STATES = 2, 128, 32
BOUNDS = {512: 5, 2048: 10}
LENGTHS = (*BOUNDS, 8192)
STEPS = {512: 5, 2048: 2, 8192: 1}  # of a round: a single step of 3 ms after a pause takes up to four times as long
MOST_OF_STATES = 2048  # positions up to which a form that writes every state runs
PEERS = Path(__file__).parents[1] / "build" / "peers"
RECORD = Path(__file__).parent / "records" / "scan.json"


def inputs(length):
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    A = -torch.arange(1.0, STATES + 1).repeat(CHANNELS, 1)
    steps = torch.nn.functional.softplus(normal(BATCH, length, CHANNELS) - 4)
    B, C = normal(BATCH, length, 2 * STATES).split(STATES, dim=-1)
    leaves = [normal(BATCH, length, CHANNELS), steps, A, B, C, normal(CHANNELS)]
    return [leaf.detach().requires_grad_() for leaf in leaves], normal(BATCH, length, CHANNELS)


def ours(form):
    empty = torch.zeros(BATCH, CHANNELS, STATES)
    return lambda *leaves: form(*leaves, empty)[0]


def in_torch():
    scan_kernel.serves = lambda like: False
    return ours(scan.chunked)


def mambapys():
    sys.path.insert(0, str(PEERS))
    from mambapy.mamba import MambaBlock

    return lambda *leaves: MambaBlock.selective_scan(None, *leaves)


SCANS = {
    "kernel": lambda: ours(scan.chunked),
    "mambapy": mambapys,
    "torch": in_torch,
    "parallel": lambda: ours(scan.parallel),
}


def run(name, length):
    keep_freed_memory()  # as training does
    torch.set_num_threads(THREADS)
    function, (leaves, dy) = SCANS[name](), inputs(length)

    def play():
        for _ in range(steps_of(name, length)):
            function(*leaves).backward(dy)

    return play


def steps_of(name, length):
    return STEPS[length] if name in ("kernel", "mambapy") else 1


CONTESTANTS = {
    f"{name} {length}": lambda name=name, length=length: run(name, length)
    for length in LENGTHS
    for name in SCANS
    if length <= MOST_OF_STATES or name == "kernel"
}
serve(CONTESTANTS)


def largest_difference():
    """Of outputs and gradients, relative to mambapy's largest."""
    results = []
    for name in ("kernel", "mambapy"):
        leaves, dy = inputs(512)
        y = SCANS[name]()(*leaves)
        results.append([y, *torch.autograd.grad(y, leaves, dy)])
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(*results, strict=True))


def main():
    if not (PEERS / "mambapy").exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--target",
            str(PEERS),
            "mambapy==1.2.0",
        ]
        subprocess.run(command, check=True)
    difference = largest_difference()
    assert difference < 1e-4, f"the two differ by {difference:.1e}: nothing to compare"
    rows = compare(list(CONTESTANTS), ROUNDS, THREADS)
    for name, row in rows.items():
        each, length = name.split()
        for key in ("seconds", "low", "high"):
            row[key] /= steps_of(each, int(length))
    print(f"selective scan, {BATCH} x {CHANNELS} channels x {STATES} states ({machine(THREADS)}; medians of {ROUNDS})")
    for name, row in rows.items():
        print(f"  {name:14} {row['seconds'] * 1e3:8.1f} ms ({row['low'] * 1e3:.1f} to {row['high'] * 1e3:.1f})")
    times = {}
    for length, bound in BOUNDS.items():
        times[length] = rows[f"mambapy {length}"]["seconds"] / rows[f"kernel {length}"]["seconds"]
        verdict = "holds" if times[length] >= bound else "MISSED"
        print(f"  at {length} {times[length]:.1f} times as fast as mambapy: {verdict} (at least {bound})")
    record = {
        "machine": machine(THREADS),
        "rounds": ROUNDS,
        "batch": BATCH,
        "channels": CHANNELS,
        "states": STATES,
        "largest_difference": difference,
        "times_mambapy": {str(length): round(ratio, 1) for length, ratio in times.items()},
        "ms": {
            name: {key: round(row[key] * 1e3, 2) for key in ("seconds", "low", "high")} for name, row in rows.items()
        },
        "peak_mb": {name: round(row["peak_bytes"] / 2**20) for name, row in rows.items()},
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
