"""Two programs measured side by side: one process tree, alternating rounds, medians.

Each contestant is a function that sets up and returns a `round()`; it lives in a worker process of its own, which waits
while the other one runs. A benchmark calls `compare` and is started again by it as its workers.
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

PAUSE_S = 0.5  # OpenMP's threads spin for some 0.2 s after a round, on the cores of the next one

Contestant = Callable[[], Callable[[], None]]


def serve(contestants: dict[str, Contestant]) -> None:
    """In a worker: `--worker NAME`; a line on stdin is a round, the answer its seconds. Returns in the parent."""
    if len(sys.argv) != 3 or sys.argv[1] != "--worker":
        return
    play = contestants[sys.argv[2]]()
    play()  # warm-up
    print("ready", flush=True)
    for _ in sys.stdin:
        began = time.perf_counter()
        play()
        seconds = time.perf_counter() - began
        print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]), flush=True)
    raise SystemExit


def compare(names: list[str], rounds: int, threads: int) -> dict[str, dict[str, Any]]:
    """{name: {"seconds": median, "low", "high", "peak_bytes"}} of `rounds` alternating rounds after a warm-up."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    workers = {}
    for name in names:
        command = [sys.executable, sys.argv[0], "--worker", name]
        workers[name] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
    for worker in workers.values():
        _read(worker)
    print(f"{len(names)} workers are ready, {rounds} rounds begin", file=sys.stderr, flush=True)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    peaks: dict[str, int] = {}
    for _ in range(rounds):
        for name, worker in workers.items():
            assert worker.stdin is not None
            time.sleep(PAUSE_S)
            print("round", file=worker.stdin, flush=True)
            took, peaks[name] = json.loads(_read(worker))
            seconds[name].append(took)
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
    return {
        name: {
            "seconds": statistics.median(values),
            "low": min(values),
            "high": max(values),
            "peak_bytes": peaks[name],
        }
        for name, values in seconds.items()
    }


def machine(threads: int) -> str:
    from isostate.train.facts import environment_of

    facts = environment_of(threads)
    return f"torch {facts['torch']}, Python {facts['python']}, {threads} threads, {facts['cpu']}"


def _read(worker: subprocess.Popen) -> str:
    assert worker.stdout is not None
    line = worker.stdout.readline()
    if not line:
        raise SystemExit(f"a worker died with code {worker.wait()}")
    return line
