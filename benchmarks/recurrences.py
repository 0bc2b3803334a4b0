"""The engine's chunked form against other projects': batch 2, 4 heads of 32, float32, both passes, two threads.

    python benchmarks/recurrences.py [length ...]

Bounds: linear at least 1.5 times as fast as FLA's; gated linear and Mamba-2's scan 1.5 times as fast as the best of
FLA's and transformers', and ahead of torch's attention; gated power-2, normalised, 2.5 times as fast as the best other
at 512 and 12 times at 2048, at 25 % or more of a matrix product's best speed, measured beside it. FLOPs are the exact
layout's: `power_flops`. Equal results are checked first. The others come from PyPI, into build/peers. Writes
benchmarks/records/recurrences.json; lengths that were not asked for stay as they are there.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import torch

import recurrence_peers as peers
from isostate.mixers import engine_kernel
from isostate.mixers.feature_maps import linear_map, power_map
from isostate.train.heap import keep_freed_memory
from side_by_side import compare, machine, serve

ROUNDS, THREADS = 7, 2
BATCH, HEADS, SIZE = 2, 4, 32
LENGTHS = (512, 2048, 8192)
STEPS = {512: 10, 2048: 4, 8192: 1}  # of a round: short steps are timed together
LONGEST_OF_SLOW = 2048  # that power's other forms run at: they take seconds
GEMM = 2048  # rows and columns of the product that is measured beside
SHARE_OF_GEMM = 0.25
RECORD = Path(__file__).parent / "records" / "recurrences.json"

POWER = power_map(2, SIZE)
FUNCTIONS = {
    "linear": peers.ours(linear_map(SIZE)),
    "gated": peers.ours(linear_map(SIZE)),
    "mamba2": peers.our_mamba2,
    "power": peers.ours(POWER, normalised=True),
    "linear FLA": peers.fla_linear,
    "gated FLA": peers.fla_gated,
    "mamba2 transformers": peers.transformers_mamba2,
    "softmax torch": peers.sdpa,
    "power FLA": peers.fla_power,
    "power retention": peers.retention_chunked,
    "power retention, quadratic": peers.retention_quadratic,
}
SLOW = {name for name in FUNCTIONS if name.startswith("power ")}


def inputs(name, length):
    """Leaves by position, and a gradient of y. Keys lean towards queries; gates forget some 2 % a position."""
    generator = torch.Generator().manual_seed(0)
    normal = partial(torch.randn, generator=generator)
    wide = (BATCH, length, HEADS, SIZE)
    dy = normal(*wide)
    if name.startswith("mamba2"):
        shared = (BATCH, length, 1, SIZE)
        steps, decays = normal(*wide[:3]) - 3, torch.rand(HEADS, generator=generator) + 0.5
        leaves = [normal(*wide), steps, decays.log(), normal(*shared), normal(*shared), normal(HEADS), normal(HEADS)]
    else:
        q = normal(*wide)
        leaves = [q, q + 0.5 * normal(*wide), normal(*wide)]
        if name.startswith(("gated", "power")):
            leaves.append((normal(*wide[:3]) + 4).sigmoid().log())
    return [leaf.detach().requires_grad_() for leaf in leaves], dy


def run(name, length):
    keep_freed_memory()  # as training does
    torch.set_num_threads(THREADS)
    function, (leaves, dy) = FUNCTIONS[name], inputs(name, length)

    def play():
        for _ in range(steps_of(name, length)):
            function(*leaves).backward(dy)

    return play


def steps_of(name, length):
    return 1 if name in SLOW or name == "product" else STEPS[length]


def gemm():
    torch.set_num_threads(THREADS)
    x, y = torch.randn(2, GEMM, GEMM)
    return lambda: x @ y


def contestants(length):
    names = [name for name in FUNCTIONS if length <= LONGEST_OF_SLOW or name not in SLOW]
    return {f"{name} {length}": partial(run, name, length) for name in names} | {"product": gemm}


serve({name: setup for length in LENGTHS for name, setup in contestants(length).items()})


def differences():
    """{another's name: largest difference of outputs and gradients from ours, relative to its largest}."""
    found = {}
    for name in FUNCTIONS:
        family, _, other = name.partition(" ")
        if other and family in FUNCTIONS:
            results = []
            for each in (family, name):
                leaves, dy = inputs(name, 512)
                y = FUNCTIONS[each](*leaves)
                results.append([y, *torch.autograd.grad(y, leaves, dy)])
            found[name] = max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(*results, strict=True))
    return found


def power_flops(length):
    """Of one step of gated power-2, 2 a multiply-add: P monomials, V values and their sum, C positions in a chunk.

    Forward, each position adds to a state and reads one: 2 products of P V. Backward, each has two. Nothing is read of
    the empty state, and none of the last one's gradient is there: (6 N - 4) C P V products in N chunks. Of the pairs of
    positions inside chunks, half are seen: scores and reading, K + V each, and backward the scores again, and gradients
    of weights, queries, keys and values, 3 K + 2 V.
    """
    P, V = POWER.expanded_size, SIZE + 1
    chunk = engine_kernel.best_chunk(POWER, V, length)
    n_chunks = length // chunk
    pairs = n_chunks * chunk * (chunk + 1) // 2
    return 2 * BATCH * HEADS * ((6 * n_chunks - 4) * chunk * P * V + pairs * (4 * SIZE + 3 * V))


def bars(length, ms, product_ms):
    """{what is asked: (found, least)}, from medians, and of the product the best time: its peak."""
    scans = min(ms["gated FLA"], ms["mamba2 transformers"])
    found = {"linear, times FLA's": (ms["linear FLA"] / ms["linear"], 1.5)}
    for name in ("gated", "mamba2"):
        found[f"{name}, times the best other"] = (scans / ms[name], 1.5)
        found[f"{name}, times torch's attention"] = (ms["softmax torch"] / ms[name], 1.0)
    if length <= LONGEST_OF_SLOW:
        best = min(ms[name] for name in ms if name in SLOW)
        found["power, times the best other"] = (best / ms["power"], 2.5 if length == 512 else 12.0)
    speeds = power_flops(length) / ms["power"], 2 * GEMM**3 / product_ms
    return found | {"power, share of a product's speed": (speeds[0] / speeds[1], SHARE_OF_GEMM)}


def section(length):
    rows = compare(list(contestants(length)), ROUNDS, THREADS)
    rows = {name.removesuffix(f" {length}"): row for name, row in rows.items()}
    for name, row in rows.items():
        for key in ("seconds", "low", "high"):
            row[key] /= steps_of(name, length)
    print(f"{length} positions ({machine(THREADS)}; medians of {ROUNDS})")
    for name, row in rows.items():
        print(f"  {name:27} {row['seconds'] * 1e3:8.1f} ms ({row['low'] * 1e3:.1f} to {row['high'] * 1e3:.1f})")
    ms = {name: {key: round(row[key] * 1e3, 2) for key in ("seconds", "low", "high")} for name, row in rows.items()}
    found = bars(length, {name: row["seconds"] for name, row in ms.items()}, ms["product"]["low"])
    for what, (value, least) in found.items():
        print(f"  {what}: {value:.2f}, {'holds' if value >= least else 'MISSED'} (at least {least})")
    return {
        "ms": ms,
        "bars": {what: {"found": round(value, 3), "least": least} for what, (value, least) in found.items()},
        "power_flops": power_flops(length),
        "peak_mb": {name: round(row["peak_bytes"] / 2**20) for name, row in rows.items()},
    }


def main():
    lengths = [int(length) for length in sys.argv[1:]] or LENGTHS
    if not (peers.PEERS / "retention").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(peers.PEERS)]
        subprocess.run([*command, *peers.VERSIONS], check=True)
    found = differences()
    for name, difference in found.items():
        assert difference < 1e-4, f"{name} and ours differ by {difference:.1e}: nothing to compare"
    record = json.loads(RECORD.read_text()) if RECORD.exists() else {"lengths": {}}
    record |= {
        "machine": machine(THREADS),
        "rounds": ROUNDS,
        "batch": BATCH,
        "heads": HEADS,
        "head_dim": SIZE,
        "product_of": GEMM,
        "differences": {name: float(f"{difference:.1e}") for name, difference in found.items()},
    }
    for length in lengths:
        record["lengths"][str(length)] = section(length)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
