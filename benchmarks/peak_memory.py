"""The peak of training memory as predicted, against torch's allocator, its MemTracker, and the process.

    OMP_NUM_THREADS=1 python benchmarks/peak_memory.py

Bound: predicted within 3 % of the allocator's peak, which the profiler tells event by event. Each measurement is a
process of its own that builds a model and makes two updates. MemTracker sees what operators return and not the buffers
inside them. Resident growth stands beside without a bound: pages, libraries, what malloc keeps. The predictions need
nothing of the machine. Writes benchmarks/records/peak_memory.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch.distributed._tools.mem_tracker import MemTracker

from isostate.costs import counting, training_memory
from isostate.model import Decoder, ModelConfig, Recompute, decayed_parameters
from isostate.train.optimizer import AdamW
from side_by_side import machine

RECORD = Path(__file__).parent / "records" / "peak_memory.json"
BOUND = 0.03
SIZES = {"vocab_size": 4096, "n_layers": 6, "d_model": 256}
# name -> (model, batch, context, what is kept)
CASES: dict[str, tuple[dict[str, Any], int, int, Recompute]] = {
    "softmax": (
        SIZES | {"mixer": {"kind": "softmax", "n_heads": 8, "n_kv_heads": 2, "positions": "rotary"}}, 4, 512, "none"
    ),
    "softmax with dropout, GPT-2's block": (
        SIZES
        | {"mlp": "gelu-tanh", "norm": "layer", "bias": "all", "position_embedding": "learned", "max_context": 512}
        | {"mixer": {"kind": "softmax", "n_heads": 8, "attention_dropout": 0.1}, "dropout": 0.1},
        4, 512, "none",
    ),
    "window": (SIZES | {"mixer": {"kind": "window", "n_heads": 8, "window": 128}, "conv_taps": 4}, 4, 512, "none"),
    "linear, gated": (SIZES | {"mixer": {"kind": "linear", "n_heads": 8, "gate": "head"}}, 4, 512, "none"),
    "power-2 with dropout, blocks run again": (
        SIZES | {"mixer": {"kind": "power", "n_heads": 8, "degree": 2, "gate": "head"}, "dropout": 0.1},
        4, 512, "blocks",
    ),
}  # fmt: skip


def train(name: str, between: Callable[[], object] = bool) -> None:
    """Two updates: the second begins with all that stays."""
    values, batch, context, recompute = CASES[name]
    model = Decoder(ModelConfig.parse(values, name))
    optimizer = AdamW(*decayed_parameters(model), betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1)
    inputs_BT, targets_BT = (torch.randint(values["vocab_size"], (batch, context)) for _ in range(2))
    for _ in range(2):
        model.train_loss(inputs_BT, targets_BT, recompute=recompute).backward()
        optimizer.step(1e-3, 1.0)
        between()


def tracked(name: str) -> int:
    """The peak that torch's MemTracker sees."""
    tracker = MemTracker()
    with tracker:
        train(name, tracker.reset_mod_stats)
    return sum(peaks["Total"] for peaks in tracker.get_tracker_snapshot("peak").values())


MEASURES = {
    "allocator": lambda name: counting.peak_allocated_bytes(partial(train, name)),
    "mem_tracker": tracked,
    "resident": lambda name: counting.resident_growth(partial(train, name)),
}


def measured(measure: str, name: str) -> int | None:
    """In a process of its own, which has nothing freed to use again."""
    command = [sys.executable, __file__, "--measure", measure, "--case", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(name: str) -> dict[str, Any]:
    values, batch, context, recompute = CASES[name]
    memory = training_memory(ModelConfig.parse(values, name), batch, context, recompute=recompute)
    found = {measure: measured(measure, name) for measure in MEASURES}
    return {
        "case": name, "model": values, "batch": batch, "context": context, "recompute": recompute,
        "predicted": memory.total, **found, "error": round(memory.total / found["allocator"] - 1, 6),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", choices=MEASURES, help="one measure, in this process")
    parser.add_argument("--case", choices=CASES)
    asked = parser.parse_args()
    if asked.measure:
        train_libraries()
        print(json.dumps(MEASURES[asked.measure](asked.case)))
        return
    rows = [row(name) for name in CASES]
    print(f"{'predicted':>13} {'allocator':>13} {'error':>9} {'MemTracker':>13} {'resident':>13}")
    for one in rows:
        beside = " ".join(
            f"{'-' if one[key] is None else format(one[key], ',d'):>13}" for key in ("mem_tracker", "resident")
        )
        print(f"{one['predicted']:13,} {one['allocator']:13,} {100 * one['error']:+8.3f} % {beside}  {one['case']}")
    worst = max(abs(one["error"]) for one in rows)
    print(f"{'holds' if worst <= BOUND else 'MISSED'}: largest error {100 * worst:.3f} %, at most {100 * BOUND:.0f} %")
    RECORD.write_text(json.dumps({"machine": machine(1), "bound": BOUND, "rows": rows}, indent=1) + "\n")


def train_libraries() -> None:
    """Loads what the first step of any model loads."""
    model = Decoder(
        ModelConfig.parse({"vocab_size": 8, "n_layers": 1, "d_model": 8, "mixer": {"kind": "softmax"}}, "m")
    )
    tokens_BT = torch.zeros(1, 8, dtype=torch.long)
    model.train_loss(tokens_BT, tokens_BT).backward()


if __name__ == "__main__":
    main()
