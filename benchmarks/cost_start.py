"""How long `isostate cost` takes from its start, beside the import of torch.

    OMP_NUM_THREADS=1 python benchmarks/cost_start.py

Bound: a sheet within 1 s of torch's own import. Rounds alternate; seconds are those of a whole process, on the wall and
of its processor. A preset needs no torch, a config of Isostate's own and `--recompute` do. Writes
benchmarks/records/cost_start.json.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import machine

RECORD = Path(__file__).parent / "records" / "cost_start.json"
ROUNDS, BOUND_S = 7, 1.0
OURS = {"vocab_size": 32000, "n_layers": 24, "d_model": 1024, "mixer": {"kind": "power", "degree": 2, "n_heads": 16}}
COST = [sys.executable, "-c", "import sys; from isostate.cli import main; sys.exit(main())", "cost"]


def commands(config: Path) -> dict[str, list[str]]:
    return {
        "import torch": [sys.executable, "-c", "import torch"],
        "isostate cost gpt2": [*COST, "gpt2"],
        "isostate cost OURS": [*COST, str(config)],
        "isostate cost gpt2 --recompute none": [*COST, "gpt2", "--recompute", "none"],
    }


def seconds_of(command: list[str]) -> tuple[float, float]:
    """On the wall, and of the processor."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def middle(seconds: tuple[float, ...]) -> float:
    return round(statistics.median(seconds), 2)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "ours.json")
        config.write_text(json.dumps(OURS))
        listed = commands(config)
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in listed}
        for number in range(ROUNDS + 1):
            for name, command in listed.items():
                seconds = seconds_of(command)
                if number:  # the first fills the file system's cache
                    taken[name].append(seconds)
    rows = {name: dict(zip(("wall_s", "cpu_s"), map(middle, zip(*some, strict=True)), strict=True))
            for name, some in taken.items()}  # fmt: skip
    torch_s = rows["import torch"]
    over = {name: round(row["cpu_s"] - torch_s["cpu_s"], 2) for name, row in rows.items()}
    for name, row in rows.items():
        print(
            f"{row['wall_s']:6.2f} s, {row['cpu_s']:.2f} s of a processor, {over[name]:+.2f} s beside torch's: {name}"
        )
    print(f"{'holds' if max(over.values()) <= BOUND_S else 'MISSED'}: at most {BOUND_S} s more than import torch")
    RECORD.write_text(
        json.dumps({"machine": machine(1), "rounds": ROUNDS, "bound_s": BOUND_S, "rows": rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
