"""How long this machine takes for a model that it has never run: from measured kernels, not from measured steps.

    seconds = sum over calls of  overhead + work(kind, shape)

Each kind of kernel is measured at a few sizes, once with its memory in cache and once without; between sizes, seconds
are interpolated in the logarithm of every axis. That is a roofline whose peak and bandwidth depend on the size, as they
do: a small product reaches a tenth of the peak, a small tensor stays in cache. The overhead of a call, and how much
longer kernels take in turn than each in a loop, come from real steps of small models (`real_steps.py`). Attention is
measured as the machine runs it, by our own kernel or in torch.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import geometric_mean, mean, median
from typing import Literal

import numpy as np

from isostate.config import UserError
from isostate.costs import real_steps
from isostate.costs.clock import first_quartile, own_clock
from isostate.costs.decode_kernels import decode_parts, repeated_elements
from isostate.costs.kernels import FLOAT32_BYTES, SCANS, Kernel, Kind, Part, cost_of
from isostate.costs.measured_kernels import MEASURED, kinds_of, matmul_in_pool
from isostate.costs.operators import training_parts
from isostate.costs.pools import CACHED_POOL, MEMORY_POOL, Work
from isostate.costs.real_steps import RealSteps, Steps
from isostate.costs.training import peak_train_bytes
from isostate.mixers.native import Kernels, kernels_here
from isostate.model import ModelConfig
from isostate.model.decoder import Recompute

LARGEST_FLOPS, LARGEST_ELEMENTS = 6e8, 2**24  # of a measured kernel; larger ones run at the rate of the nearest
ROUNDS, ROUND_S = 5, 2e-3  # the first quartile of so many, each at least so long
VISIT_EVERY = 4  # kinds of kernels, between real steps
POOLS = tuple(2**20 * megabytes for megabytes in (2, 8, 12, 16, 20, 24, 32, 64))


@dataclass(frozen=True)
class Curve:
    """Seconds of one unit of a kind on a grid of sizes."""

    kind: Kind
    axes: tuple[tuple[int, ...], ...]
    seconds: np.ndarray = field(repr=False)

    def at(self, shape: Sequence[int]) -> float:
        """Interpolated; beyond the grid in proportion to FLOPs or bytes, below it as the smallest."""
        held = tuple(min(max(size, axis[0]), axis[-1]) for size, axis in zip(shape, self.axes, strict=True))
        places: list[tuple[int, int, float]] = []
        for size, axis in zip(held, self.axes, strict=True):
            above = max(1, next(i for i, known in enumerate(axis) if known >= size))
            part = math.log(size / axis[above - 1]) / math.log(axis[above] / axis[above - 1])
            places.append((above - 1, above, part))
        logarithm = 0.0
        for corner in itertools.product((0, 1), repeat=len(places)):
            weight = math.prod(part if up else 1 - part for up, (_, _, part) in zip(corner, places, strict=True))
            if weight:
                index = tuple(above if up else below for up, (below, above, _) in zip(corner, places, strict=True))
                logarithm += weight * math.log(self.seconds[index])
        beyond = tuple(max(sizes) for sizes in zip(shape, held, strict=True))
        if beyond == held:
            return math.exp(logarithm)
        return math.exp(logarithm) * _work_of(self.kind, beyond) / _work_of(self.kind, held)

    @property
    def smallest(self) -> float:
        return float(self.seconds.min())


@dataclass(frozen=True)
class Calibration:
    """A machine on so many threads: curves of every kind in cache and from memory, overheads, and its cache."""

    cached: dict[Kind, Curve]
    from_memory: dict[Kind, Curve]
    train_call_s: float
    decode_call_s: float
    missed: tuple[float, ...]  # share of a working set that is not in cache any more, by POOLS
    kernels: Kernels = "torch"  # whose attention it measured
    took_s: float = 0.0
    train_in_turn: float = 1.0  # how much longer kernels take in turn, each in the caches of the last, than in a loop
    decode_in_turn: float = 1.0

    def missed_share(self, working_set: float) -> float:
        """Of memory that is used in turn, `working_set` bytes of it."""
        return float(np.interp(math.log(working_set), [math.log(pool) for pool in POOLS], self.missed))

    def kernel_s(self, kernel: Kernel, missed: float) -> float:
        """All its calls, without their overhead. Raises UserError for a kind that was not measured."""
        if kernel.kind == "call":
            return 0.0
        if kernel.kind not in self.cached:
            raise UserError(
                f"no time for {kernel.kind!r}: attention ran by {self.kernels} kernels when this was measured"
            )
        near, far = self.cached[kernel.kind], self.from_memory[kernel.kind]
        unit_s = (1 - missed) * near.at(kernel.shape) + missed * far.at(kernel.shape)
        if kernel.units == 1 and kernel.shape:  # a call's own overhead is counted apart
            unit_s = max(0.0, unit_s - near.smallest)
        return kernel.times * kernel.units * unit_s

    def ways_s(self, part: Part) -> float:
        """What it takes to reach our own kernels."""
        return part.times * sum(self.kernel_s(one, 0.0) for one in part.kernels if one.kind.startswith("own call"))

    def seconds_of(self, parts: Iterable[Part], call_s: float, working_set: float) -> dict[str, float]:
        """By part's name."""
        missed = self.missed_share(working_set)
        return {
            part.name: part.n_calls * call_s
            + part.times * sum(self.kernel_s(kernel, missed) for kernel in part.kernels)
            for part in parts
        }

    def training_s(
        self, config: ModelConfig, batch: int, context: int, recompute: Recompute = "none"
    ) -> dict[str, float]:
        """Seconds of one update by operator, as `train/` makes it without clipping."""
        used = peak_train_bytes(config, batch, context, recompute, kernels=self.kernels)
        kernels = training_parts(config, batch, context, recompute, self.kernels)
        parts = self.seconds_of(kernels, self.train_call_s, used)
        return {name: self.train_in_turn * part_s for name, part_s in parts.items()}

    def decode_s(self, config: ModelConfig, batch: int, context: int) -> dict[str, float]:
        """Seconds of one token for each of `batch` sequences behind `context` tokens, by operator."""
        state = batch * config.state_size(context).elements
        used = FLOAT32_BYTES * (config.param_count().total + 2 * state + repeated_elements(config, batch, context))
        parts = self.seconds_of(decode_parts(config, batch, context), self.decode_call_s, used)
        return {name: self.decode_in_turn * part_s for name, part_s in parts.items()}


def undisturbed(calibrations: Sequence[Calibration]) -> Calibration:
    """Of several measurings of one machine the first quartile of every number: it drifts, and does other work."""

    def curves(name: Literal["cached", "from_memory"]) -> dict[Kind, Curve]:
        every = [getattr(one, name) for one in calibrations]
        best = {kind: np.quantile([one[kind].seconds for one in every], 0.25, axis=0) for kind in every[0]}
        return {kind: Curve(kind, every[0][kind].axes, seconds) for kind, seconds in best.items()}

    return Calibration(
        curves("cached"),
        curves("from_memory"),
        first_quartile([one.train_call_s for one in calibrations]),
        first_quartile([one.decode_call_s for one in calibrations]),
        tuple(np.median([one.missed for one in calibrations], axis=0).tolist()),
        calibrations[0].kernels,
        sum(one.took_s for one in calibrations),
        median([one.train_in_turn for one in calibrations]),
        median([one.decode_in_turn for one in calibrations]),
    )


def calibrate() -> Calibration:
    """Measures this machine on torch's threads, in half a minute."""
    began = time.perf_counter()
    kernels, steps = kernels_here(), real_steps.prepare()
    cached: dict[Kind, Curve] = {}
    from_memory: dict[Kind, Curve] = {}
    for number, kind in enumerate(kinds_of(kernels)):
        if number % VISIT_EVERY == 0:
            steps.visit()
        cached[kind] = _curve(kind, CACHED_POOL)
        from_memory[kind] = _curve(kind, MEMORY_POOL) if MEASURED[kind].pooled else cached[kind]
    without = Calibration(cached, from_memory, 0.0, 0.0, _missed_shares(), kernels)
    train_s, decode_s = _overheads(without, steps)
    apart = dataclasses.replace(without, train_call_s=train_s, decode_call_s=decode_s)
    train, decode = _in_turn(apart, steps)
    took_s = time.perf_counter() - began
    return dataclasses.replace(apart, took_s=took_s, train_in_turn=train, decode_in_turn=decode)


def seconds_of(work: Work) -> float:
    """One run: the first quartile of a few rounds, each of many runs."""
    work()
    began = own_clock()
    work()
    runs = max(1, int(ROUND_S / max(own_clock() - began, 1e-7)))
    rounds = []
    for _ in range(ROUNDS):
        began = own_clock()
        for _ in range(runs):
            work()
        rounds.append((own_clock() - began) / runs)
    return first_quartile(rounds)


def _curve(kind: Kind, pool: int) -> Curve:
    axes, prepare, pooled = MEASURED[kind]
    seconds = np.full([len(axis) for axis in axes], np.nan)
    for index in np.ndindex(*seconds.shape):  # smaller ones come first
        shape = tuple(axis[i] for i, axis in zip(index, axes, strict=True))
        cost = cost_of(kind, shape)
        if cost.matmul_flops > LARGEST_FLOPS or (not cost.matmul_flops and math.prod(shape) > LARGEST_ELEMENTS):
            along = int(np.argmax([axis[i] / axis[0] for i, axis in zip(index, axes, strict=True)]))
            back = tuple(i - (place == along) for place, i in enumerate(index))
            nearest = tuple(axis[i] for i, axis in zip(back, axes, strict=True))
            seconds[index] = seconds[back] * _work_of(kind, shape) / _work_of(kind, nearest)
        else:
            work, units = prepare(pool, *shape) if pooled else prepare(*shape)
            seconds[index] = seconds_of(work) / units
    return Curve(kind, axes, seconds)


def _work_of(kind: Kind, shape: tuple[int, ...]) -> float:
    cost = cost_of(kind, shape)
    return cost.matmul_flops or (cost.other_flops if kind in SCANS else cost.moved_bytes)


def _missed_shares() -> tuple[float, ...]:
    """How slow a product with one row is whose weights fill a pool, between the smallest pool and the largest."""
    seconds = [seconds_of(matmul_in_pool(pool)) for pool in POOLS]
    near, far = min(seconds), max(seconds)
    return tuple((taken - near) / (far - near) for taken in seconds)


def _overheads(without: Calibration, steps: RealSteps) -> tuple[float, float]:
    """Seconds a call in training and in generation; the ways to our own kernels are measured already."""

    def call_s(few: Steps, many: Steps, parts_of: Callable[[Steps], tuple[Part, ...]]) -> float:
        n_calls, known_s = (
            [sum(measure(part) for part in parts_of(one)) for one in (few, many)]
            for measure in (lambda part: part.n_calls, without.ways_s)
        )
        spent_s = many.seconds - few.seconds - (known_s[1] - known_s[0])
        return spent_s / (n_calls[1] - n_calls[0])

    def training(one: Steps) -> tuple[Part, ...]:
        return training_parts(one.config, one.batch, one.context, kernels=without.kernels)

    def generation(one: Steps) -> tuple[Part, ...]:
        return decode_parts(one.config, one.batch, one.context)

    updates, tokens = steps.tiny
    return mean(call_s(*pair, training) for pair in updates), mean(call_s(*pair, generation) for pair in tokens)


def _in_turn(apart: Calibration, steps: RealSteps) -> tuple[float, float]:
    """Real steps over the sum of their kernels', in training and in generation: a mean over a few models."""
    train, decode = [], []
    updates, tokens = steps.whole
    for one in updates:
        parts = apart.training_s(one.config, one.batch, one.context)
        train.append(one.seconds / sum(part_s for name, part_s in parts.items() if name != "optimizer"))
    decode += [one.seconds / sum(apart.decode_s(one.config, one.batch, one.context).values()) for one in tokens]
    return geometric_mean(train), geometric_mean(decode)
