"""Which layouts of a model fit on a cluster, best first: "64 x h100-80".

All splits of the devices are tried: tensor within a node, pipeline and context over divisors, experts among data ranks,
ZeRO stages, micro-batches, recomputation. What does not fit in memory, or divides nothing, is left out and counted.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from isostate.config import UserError
from isostate.costs.hardware_table import Dtype, find_hardware
from isostate.costs.layouts import Cluster, UpdateTime, update_time
from isostate.costs.money import utilisation
from isostate.costs.roofline import Efficiency, stated_efficiency
from isostate.costs.sharding import MIXED, Layout, ModelShape, Precision, RankMemory, Recompute, rank_memory

# Of a device's memory: the rest is the framework's, fragments, and what collectives buffer. An assumption.
USABLE_SHARE = 0.9
MICRO_BATCHES = (1, 2, 4, 8, 16)
ALIKE = 0.03  # predicted times that differ by less are not told apart: the simpler layout comes first
RECOMPUTES: tuple[Recompute, ...] = ("none", "full")  # fused attention leaves nothing for selective recomputation
LARGEST_CLUSTER = 2**20


@dataclass(frozen=True)
class Fit:
    """A layout that fits."""

    layout: Layout
    memory: RankMemory
    time: UpdateTime
    tokens_per_s: float
    mfu: float


@dataclass(frozen=True)
class Fits:
    """The layouts that fit, best first: by time, and of those that are alike in it by simplicity."""

    cluster: Cluster
    fits: list[Fit]
    n_tried: int
    smallest_bytes: float  # of the fullest rank, of all layouts tried
    usable_bytes: float


def parse_cluster(text: str) -> tuple[int, str]:
    """(number, hardware's name) of "64 x h100-80"; "h100" is one. Raises UserError with one line."""
    found = re.fullmatch(r"\s*(?:([\d_,']+)\s*(?:x|×|\*)\s*)?(\S.*?)\s*", text, flags=re.IGNORECASE)
    if not found:
        raise UserError(f'{text!r}: expected devices such as "64 x h100-80"')
    number = int(re.sub(r"[_,']", "", found.group(1) or "1") or 0)
    if not 1 <= number <= LARGEST_CLUSTER:
        raise UserError(f"{text!r}: {number} devices; give 1 to {LARGEST_CLUSTER:,}")
    return number, found.group(2)


def fit_on(
    text: str,
    shape: ModelShape,
    batch: int,
    context: int,
    dtype: Dtype = "bf16",
    precision: Precision = MIXED,
    efficiency: Efficiency | None = None,
    *,
    node_size: int | None = None,
    network_bytes_per_s: float | None = None,
) -> Fits:
    """All layouts of training on `batch` sequences of `context` that fit. Raises UserError where none does."""
    number, name = parse_cluster(text)
    hardware = find_hardware(name)
    cluster = Cluster.of(number, hardware, node_size, None, network_bytes_per_s)
    usable = USABLE_SHARE * hardware.known("memory_bytes")
    share = efficiency or stated_efficiency(hardware)
    model_flops = shape.train_flops(batch * context, context)
    fits, n_tried, smallest = [], 0, float("inf")
    for layout in layouts(shape, cluster, batch, context):
        n_tried += 1
        memory = rank_memory(shape, layout, batch, context, precision)
        smallest = min(smallest, memory.total)
        if memory.total > usable:
            continue
        time = update_time(shape, layout, batch, context, cluster, dtype, share, precision)
        mfu = utilisation(model_flops, time.total_s, number, hardware.peak(dtype))
        fits.append(Fit(layout, memory, time, batch * context / time.total_s, mfu))
    if not n_tried:
        raise UserError(
            f"{shape.name}: no layout splits {batch} sequences of {context} on {text.strip()} evenly; "
            f"give a batch that {number} or a divisor of it divides"
        )
    if not fits:
        raise UserError(
            f"{shape.name} does not fit on {text.strip()}: its fullest device would need {smallest / 2**30:,.1f} GiB "
            f"at least, of {usable / 2**30:,.1f} usable; take more devices, a shorter context or a smaller batch"
        )
    return Fits(cluster, _ranked(fits), n_tried, smallest, usable)


def _ranked(fits: list[Fit]) -> list[Fit]:
    """In steps of `ALIKE` from the fastest; in a step, fewer dimensions first, then less of what complicates a run."""
    best = min(fit.time.total_s for fit in fits)

    def key(fit: Fit) -> tuple[float, ...]:
        one = fit.layout
        step = math.floor(math.log(fit.time.total_s / best) / math.log1p(ALIKE) + 1e-9)
        splits = sum(ways > 1 for ways in (one.data, one.tensor, one.pipeline, one.context, one.expert))
        effort = (one.pipeline * one.interleave, one.context, one.tensor, one.recompute != "none", one.zero_stage)
        return (step, splits, *effort, fit.time.total_s)

    return sorted(fits, key=key)


def layouts(shape: ModelShape, cluster: Cluster, batch: int, context: int) -> Iterator[Layout]:
    """Every layout whose parts divide what they split."""
    number = cluster.n_devices
    for tensor, pipeline, ring in itertools.product(_divisors(number), repeat=3):
        if number % (tensor * pipeline * ring) or tensor > cluster.node_size or pipeline > shape.n_layers:
            continue
        if shape.n_heads % tensor or max(shape.n_kv_heads, tensor) % min(shape.n_kv_heads, tensor):
            continue
        if ring > 1 and context % (2 * ring):
            continue
        data = number // (tensor * pipeline * ring)
        if batch % data:
            continue
        yield from _variants(shape, Layout(data, tensor, pipeline, ring), batch // data)


def _variants(shape: ModelShape, layout: Layout, sequences: int) -> Iterator[Layout]:
    """Micro-batches, recomputation, ZeRO stages, experts, interleaving, of one split; `sequences` a data rank."""
    stages = (0, 1, 2, 3) if layout.data * layout.context > 1 else (0,)
    experts = [n for n in _divisors(layout.data) if shape.n_experts % n == 0] if shape.n_experts else [1]
    stage_layers = -(-shape.n_layers // layout.pipeline)
    for micro, recompute, zero, expert in itertools.product(MICRO_BATCHES, RECOMPUTES, stages, experts):
        if sequences % micro:
            continue
        if layout.pipeline > 1 and zero > 1:  # gradients of many micro-batches would be reduced again and again
            continue
        one = replace(layout, micro_batch=micro, recompute=recompute, zero_stage=zero, expert=expert)
        yield one
        pieces = min(4, stage_layers)
        if layout.pipeline > 1 and pieces > 1 and (sequences // micro) % layout.pipeline == 0:
            yield replace(one, interleave=pieces)


def _divisors(number: int) -> list[int]:
    return [n for n in range(1, number + 1) if number % n == 0]
