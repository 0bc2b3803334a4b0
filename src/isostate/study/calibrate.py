"""How long a training step takes here: a few real steps of each distinct shape, cached a machine.

A shape is what a step's time depends on: model, context, batch, threads, optimizer. Measuring stops at a budget; shapes
beyond it take the rate (seconds a FLOP) of the measured shape of their family that is nearest in FLOPs.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from isostate.config import digest
from isostate.costs import train_step_cost
from isostate.model import Decoder, decayed_parameters
from isostate.records import durable
from isostate.study.grid import Cell
from isostate.train import OPTIMIZERS, RunConfig, environment_of, reproducible
from isostate.train.heap import keep_freed_memory

BUDGET_S = 10.0  # of all measuring together
REPEATS = 3  # after one step that warms up


class StepTime(NamedTuple):
    """Seconds of one update; `measured` says whether of this very shape."""

    step_s: float
    measured: bool


def step_times(cells: Sequence[Cell], cache: Path, budget_s: float = BUDGET_S) -> dict[str, StepTime]:
    """By shape (`shape_of` a cell's config). Reads and adds to the file `cache`."""
    machine, known = _read(cache)
    shapes = {shape_of(cell.config): cell for cell in cells}
    shape_flops = {shape: step_flops(cell.config) for shape, cell in shapes.items()}
    began = time.monotonic()
    fresh: dict[str, float] = {}
    for shape in _in_turn(shapes, shape_flops):
        if shape in known:
            continue
        left = budget_s - (time.monotonic() - began)
        seen = {name: seconds for name, seconds in {**known, **fresh}.items() if name in shapes}
        guess = _estimate(shape, shapes, shape_flops, seen) if seen else 0.0
        if left > 0 and (1 + REPEATS) * guess < left:
            fresh[shape] = measure(shapes[shape].config)
    if fresh:
        known = {**known, **fresh}
        cache.parent.mkdir(parents=True, exist_ok=True)
        durable.write_atomic(cache, durable.json_bytes({"machine": machine, "step_s": known}))
    seen = {name: known[name] for name in shapes if name in known}
    return {
        shape: StepTime(seen[shape], True)
        if shape in seen
        else StepTime(_estimate(shape, shapes, shape_flops, seen), False)
        for shape in shapes
    }


def measure(config: RunConfig) -> float:
    """Median seconds of an update on random tokens, after one to warm up."""
    train, vocab_size = config.train, config.model.vocab_size
    keep_freed_memory()  # as the workers do
    with reproducible(train.threads, seed=0):
        model = Decoder(config.model)
        decay, no_decay = decayed_parameters(model)
        optimizer = OPTIMIZERS[train.optimizer](
            decay, no_decay, betas=train.betas, eps=train.eps, weight_decay=train.weight_decay
        )
        tokens = torch.randint(vocab_size, (config.batch_size, config.data.context + 1))
        seconds = []
        for _ in range(1 + REPEATS):
            began = time.perf_counter()
            for part in tokens.chunk(train.accumulate):
                inputs, targets = part[:, :-1].contiguous(), part[:, 1:].contiguous()
                loss = model.train_loss(inputs, targets, recompute=train.recompute)
                (loss / train.accumulate).backward()
            optimizer.gradient_norm().item()
            optimizer.step(0.0, 1.0)
            seconds.append(time.perf_counter() - began)
    return median(seconds[1:])


def shape_of(config: RunConfig) -> str:
    """A name of all that decides a step's time."""
    train = config.train
    return digest(
        {
            "model": config.model.to_dict(),
            "context": config.data.context,
            "batch": config.batch_size,
            "accumulate": train.accumulate,
            "recompute": train.recompute,
            "optimizer": train.optimizer,
            "threads": train.threads,
        }
    )


def step_flops(config: RunConfig) -> int:
    return train_step_cost(config.model, config.batch_size, config.data.context).total_flops


def torch_threads() -> int:
    return torch.get_num_threads()


def _in_turn(shapes: dict[str, Cell], shape_flops: dict[str, int]) -> list[str]:
    """Cheapest first, one of each family after another: whenever the budget ends, every family has been measured."""
    ranks: dict[str, int] = {}
    order = []
    for shape in sorted(shapes, key=lambda name: shape_flops[name]):
        family = shapes[shape].family
        ranks[family] = ranks.get(family, -1) + 1
        order.append((ranks[family], shape_flops[shape], shape))
    return [shape for _, _, shape in sorted(order)]


def _estimate(shape: str, shapes: dict[str, Cell], shape_flops: dict[str, int], seen: dict[str, float]) -> float:
    """Seconds of an update at the rate of the nearest measured shape, of the same family where there is one."""

    def distance(other: str) -> tuple[bool, float]:
        return shapes[other].family != shapes[shape].family, abs(math.log(shape_flops[other] / shape_flops[shape]))

    nearest = min(seen, key=distance)
    return seen[nearest] * shape_flops[shape] / shape_flops[nearest]


def _read(cache: Path) -> tuple[dict[str, str], dict[str, float]]:
    """This machine, and what the cache holds of it; another machine's or another version's numbers are dropped."""
    environment = environment_of(threads=1)
    machine = {name: environment[name] for name in ("isostate", "torch", "cpu")}
    try:
        held = json.loads(cache.read_bytes())
    except (FileNotFoundError, ValueError):  # none yet, or damaged: a cache is made again
        return machine, {}
    return machine, held["step_s"] if held["machine"] == machine else {}
