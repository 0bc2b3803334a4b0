"""The peak of memory of forward and backward against the context, for the chunked form of every mixer.

    OMP_NUM_THREADS=1 python benchmarks/memory_slope.py

A decoder of one layer without an MLP, batch 8, 1024 to 4096 tokens, whatever runs here: kernels, or torch in their
place. Counted is what torch's allocator gave in one step, forward and backward, gradients and tables being there
already. The batch is large enough that room to work in, which has a largest size where torch expands keys, is full at
the shortest context; chunks are 64 long, since the engine's own rule takes other lengths at other contexts. Bounds: no
count further than 2 % of the largest from a line, and the line's slope within 10 % of that of the cost model's
predictions. Resident growth between two of the contexts, each in a process of its own, stands beside without a bound.
Writes benchmarks/records/memory_slope.json.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from isostate.costs import counting, training_memory
from isostate.model import Decoder, ModelConfig
from side_by_side import machine

RECORD = Path(__file__).parent / "records" / "memory_slope.json"
BATCH, CONTEXTS = 8, (1024, 1536, 2048, 3072, 4096)
RESIDENT = (2048, 4096)
LINE_BOUND, SLOPE_BOUND = 0.02, 0.10
SIZES = {"vocab_size": 64, "n_layers": 1, "d_model": 64, "mlp": "none"}
CASES = {
    "softmax": {"kind": "softmax"},
    "softmax, ALiBi": {"kind": "softmax", "positions": "alibi"},
    "window": {"kind": "window", "window": 128},
    "linear": {"kind": "linear", "chunk": 64},
    "linear, gated": {"kind": "linear", "gate": "head", "chunk": 64},
    "taylor-2": {"kind": "taylor", "chunk": 64},
    "power-2, gated": {"kind": "power", "gate": "head", "chunk": 64},
    "mamba2": {"kind": "mamba2", "d_state": 32, "chunk": 64},
    "mamba": {"kind": "mamba"},
    "s4": {"kind": "s4"},
}


def config_of(name):
    return ModelConfig.parse(SIZES | {"mixer": CASES[name]}, name)


def step_of(name, context):
    """Forward and backward, after one that made all that stays."""
    model = Decoder(config_of(name))
    tokens_BT = torch.zeros(BATCH, context, dtype=torch.long)

    def step():
        model.train_loss(tokens_BT, tokens_BT).backward()

    step()
    return step


def counted(name):
    """Bytes at each context."""
    return [counting.peak_allocated_bytes(step_of(name, context)) for context in CONTEXTS]


def predicted(name):
    n_threads = torch.get_num_threads()
    return [training_memory(config_of(name), BATCH, context, n_threads=n_threads).step for context in CONTEXTS]


def line(n_bytes):
    """Bytes a token, and how far a count lies from the line at most, in shares of the largest."""
    contexts, n_bytes = BATCH * np.array(CONTEXTS), np.array(n_bytes)
    slope, start = np.polyfit(contexts, n_bytes, 1)
    return float(slope), float(np.abs(n_bytes - (start + slope * contexts)).max() / n_bytes.max())


def resident(name, context):
    command = [sys.executable, __file__, "--resident", name, str(context)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def row(name):
    real, said = counted(name), predicted(name)
    (slope, away), (slope_said, _) = line(real), line(said)
    return {
        "case": name,
        "mixer": CASES[name],
        "counted": real,
        "predicted": said,
        "bytes_a_token": round(slope, 1),
        "predicted_bytes_a_token": round(slope_said, 1),
        "error": round(slope_said / slope - 1, 5),
        "off_the_line": round(away, 5),
    }


def main():
    if sys.argv[1:2] == ["--resident"]:
        name, context = sys.argv[2], int(sys.argv[3])
        step_of(name, 8)()  # libraries
        model, tokens_BT = Decoder(config_of(name)), torch.zeros(BATCH, context, dtype=torch.long)
        print(json.dumps(counting.resident_growth(lambda: model.train_loss(tokens_BT, tokens_BT).backward())))
        return
    rows = []
    print(f"{'bytes a token':>14} {'predicted':>10} {'error':>8} {'off the line':>13} {'resident':>9}")
    for name in CASES:
        one = row(name)
        grown = [resident(name, context) for context in RESIDENT]
        one["resident_bytes_a_token"] = None
        if None not in grown:
            one["resident_bytes_a_token"] = round((grown[1] - grown[0]) / (RESIDENT[1] - RESIDENT[0]) / BATCH, 1)
        rows.append(one)
        held = abs(one["error"]) <= SLOPE_BOUND and one["off_the_line"] <= LINE_BOUND
        print(
            f"{one['bytes_a_token']:14,.0f} {one['predicted_bytes_a_token']:10,.0f} {100 * one['error']:+6.1f} % "
            f"{100 * one['off_the_line']:11.2f} % {one['resident_bytes_a_token'] or '-':>9}  {name}: "
            + ("holds" if held else "MISSED"),
            flush=True,
        )
    facts = {"machine": machine(torch.get_num_threads()), "slope_bound": SLOPE_BOUND, "line_bound": LINE_BOUND}
    RECORD.write_text(json.dumps({**facts, "batch": BATCH, "contexts": CONTEXTS, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
