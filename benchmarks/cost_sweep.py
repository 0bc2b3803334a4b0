"""How long ten thousand cost sheets take: parameters, FLOPs, kept bytes, states and the peak of training memory.

    python benchmarks/cost_sweep.py [--configurations 10000]

Bound: 5 s of one processor. Every configuration is parsed anew and differs from all others in mixer, width, depth,
heads, context, batch or an option of its block; nothing is kept between them. Seconds are the process's, so that other
work on the machine does not enter; the wall's stand beside. Writes benchmarks/records/cost_sweep.json.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from isostate import costs
from isostate.model import ModelConfig
from side_by_side import machine

RECORD = Path(__file__).parent / "records" / "cost_sweep.json"
BOUND_S = 5.0

MIXERS: list[dict[str, Any]] = [
    {"kind": "softmax"},
    {"kind": "softmax", "positions": "rotary", "n_kv_heads": 2, "qk_norm": "rms"},
    {"kind": "softmax", "positions": "alibi"},
    {"kind": "window", "window": 256},
    {"kind": "window", "window": 64, "positions": "rotary"},
    {"kind": "linear", "gate": "head"},
    {"kind": "linear", "positions": "alibi"},
    {"kind": "taylor"},
    {"kind": "power", "degree": 2},
    {"kind": "power", "degree": 2, "gate": "head", "positions": "rotary"},
]
BLOCKS: list[dict[str, Any]] = [
    {},
    {"conv_taps": 4},
    {"mlp": "gelu", "norm": "layer", "bias": "all", "dropout": 0.1},
    {"block": "parallel", "mlp": "geglu"},
]
SIZES = [(layers, 64 * heads, heads) for layers, heads in itertools.product((6, 12, 24, 48, 96), (4, 8, 16, 32, 64))]
WORK = [(8, 1024), (4, 2048), (1, 8192), (64, 512), (2, 4096), (16, 256), (1, 1024), (32, 2048), (8, 8192), (3, 700)]


def configurations(n: int) -> Iterator[tuple[dict[str, Any], int, int]]:
    """(model, batch, context), mixers in turn."""
    grid = itertools.product(SIZES, WORK, BLOCKS, MIXERS)
    for (n_layers, width, n_heads), (batch, context), block, mixer in itertools.islice(grid, n):
        sizes = {"vocab_size": 32_000, "n_layers": n_layers, "d_model": width}
        yield sizes | block | {"mixer": {"n_heads": n_heads, **mixer}}, batch, context


def decoded_flops(config: ModelConfig, context: int) -> int:
    """Of the last token: what the recurrent form takes for `context` tokens beyond those for one less."""
    until, before = (costs.forward_cost(config, 1, some, "recurrent").matmul_flops for some in (context, context - 1))
    return until - before


def sheet(values: dict[str, Any], batch: int, context: int, recompute: str) -> tuple[int, ...]:
    """What a cost sheet needs of one configuration."""
    config = ModelConfig.parse(values, "sweep")
    flops = costs.step_flops(config, batch, context, recompute=recompute)
    memory = costs.training_memory(config, batch, context, recompute=recompute)
    return (
        config.param_count().total,
        flops.model,
        flops.hardware,
        decoded_flops(config, context),
        costs.state_bytes(config, batch, context),
        memory.kept.total_bytes,
        memory.total,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--configurations", type=int, default=10_000)
    n = parser.parse_args().configurations
    cases = list(configurations(n))
    assert len(cases) == n, f"the grid has {len(cases)} configurations"
    by_kind: dict[str, float] = defaultdict(float)
    sheets = set()
    wall, cpu = time.perf_counter(), time.process_time()
    for number, (values, batch, context) in enumerate(cases):
        began = time.process_time()
        sheets.add(sheet(values, batch, context, ("none", "blocks")[number % 2]))
        by_kind[values["mixer"]["kind"]] += time.process_time() - began
    cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
    counts = Counter(values["mixer"]["kind"] for values, *_ in cases)
    record = {
        "configurations": n,
        "different_sheets": len(sheets),
        "cpu_s": round(cpu_s, 2),
        "wall_s": round(wall_s, 2),
        "bound_s": BOUND_S,
        "us_each": {kind: round(seconds / counts[kind] * 1e6) for kind, seconds in by_kind.items()},
        "machine": machine(1),
        "load_1min": round(os.getloadavg()[0], 1),
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))
    print(f"{'holds' if cpu_s <= BOUND_S else 'MISSED'}: {cpu_s:.2f} s of one processor, at most {BOUND_S:.0f}")


if __name__ == "__main__":
    main()
