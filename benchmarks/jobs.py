"""Runs an hour of the quickstart's shapes: two workers of one thread against one worker of two threads.

    python benchmarks/jobs.py

Bound: at least 1.2 times. Rounds alternate; each trains the same four runs from nothing, process start included.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from side_by_side import machine

STUDY = Path(__file__).parents[1] / "studies" / "quickstart.toml"
ROUNDS, STEPS = 5, 200
SETTINGS = (
    *(f"train.steps={STEPS}", "train.warmup_steps=20", f"eval.every={STEPS}", "eval.contexts=[256]"),
    'sweep=[{mixer="window", window=[16, 64]}, {mixer="power", degree=2, head_dim=[4, 6]}]',
)


def round_s(jobs: int, folder: str) -> float:
    """Seconds of a study of four runs at `jobs` workers that share two cores; the corpus is tokenised already."""
    command = [str(Path(sys.executable).parent / "isostate"), "run", str(STUDY), "--runs", folder, "--jobs", str(jobs)]
    for setting in (*SETTINGS, f"train.threads={2 // jobs}"):
        command += ["--set", setting]
    began = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began


if __name__ == "__main__":
    seconds: dict[int, list[float]] = {2: [], 1: []}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(ROUNDS + 1):  # the first fills the cache of shards and does not count
            for jobs, times in seconds.items():
                took = round_s(jobs, cache)
                for run in Path(cache, "quickstart").glob("*"):
                    if run.is_dir():
                        subprocess.run(["rm", "-rf", str(run)], check=True)
                if number:
                    times.append(took)
    print(f"four runs of {STEPS} updates, quickstart's shapes ({machine(2)} in all; medians of {ROUNDS})")
    for jobs, times in seconds.items():
        took = statistics.median(times)
        print(
            f"  --jobs {jobs}: {took:.1f} s ({min(times):.1f} to {max(times):.1f}), {4 * 3600 / took:,.0f} runs an hour"
        )
    ratio = statistics.median(seconds[1]) / statistics.median(seconds[2])
    print(f"  {'holds' if ratio >= 1.2 else 'MISSED'}: {ratio:.2f} times the runs an hour, at least 1.2")
