"""The roofline: an operator takes as long as its FLOPs or its bytes do, whichever is longer (Williams et al. 2009).

    seconds = max(FLOPs / (peak * compute share), bytes / (bandwidth * memory share)) + overhead

Operators run one after another, so a model's time is their sum. Whoever makes the operators (a config, a preset, a
layout) says what they are; here stands only what a device makes of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from isostate.costs.hardware_table import Dtype, Hardware
from isostate.quantities import Operator

Bound = Literal["compute", "memory", "overhead"]

# Of the best bf16 product that was measured (hardware.json, mamf): 0.87 of an A100's peak, 0.80 of an H100's. Devices
# that nobody measured get TYPICAL_BEST. A model's products reach less than the best one: AVERAGE_OF_BEST, fitted to the
# eight published updates in tests/costs/test_layouts.py. Memory: an assumption. Links: 235 of 300 GB/s on NVLink 3.
TYPICAL_BEST, AVERAGE_OF_BEST = 0.8, 0.8
TYPICAL_MEMORY, TYPICAL_LINK = 0.85, 0.78


@dataclass(frozen=True)
class Efficiency:
    """Shares of the device's peaks that are achieved, and seconds that each run of an operator costs besides."""

    compute: float = 1.0
    memory: float = 1.0
    link: float = 1.0
    overhead_s: float = 0.0

    def __post_init__(self) -> None:
        for name in ("compute", "memory", "link"):
            share = getattr(self, name)
            if not 0 < share <= 1:
                raise ValueError(f"efficiency {name} = {share}: a share of the peak, above 0 and at most 1")
        if self.overhead_s < 0:
            raise ValueError(f"overhead_s = {self.overhead_s}: seconds, at least 0")


IDEAL = Efficiency()  # the peaks themselves: a bound, never reached


def stated_efficiency(hardware: Hardware) -> Efficiency:
    """What is achieved in practice, as measured of the device or as is typical. A measured row stays as it is."""
    if hardware.matmul_efficiency == 1.0:
        return IDEAL
    return Efficiency(AVERAGE_OF_BEST * (hardware.matmul_efficiency or TYPICAL_BEST), TYPICAL_MEMORY, TYPICAL_LINK)


@dataclass(frozen=True)
class OperatorTime:
    """All runs of one operator: seconds that its FLOPs, its bytes and its launches would take, each alone."""

    name: str
    compute_s: float
    memory_s: float
    overhead_s: float = 0.0

    @property
    def seconds(self) -> float:
        return max(self.compute_s, self.memory_s) + self.overhead_s

    @property
    def bound(self) -> Bound:
        longest = max(self.compute_s, self.memory_s)
        if self.overhead_s > longest:
            return "overhead"
        return "compute" if self.compute_s >= self.memory_s else "memory"


@dataclass(frozen=True)
class Timing:
    """The operators of a pass, timed."""

    operators: tuple[OperatorTime, ...]

    @property
    def seconds(self) -> float:
        """One operator after another."""
        return sum(operator.seconds for operator in self.operators)

    @property
    def overlapped_s(self) -> float:
        """If all computing could overlap all moving: max(FLOPs / peak, bytes / bandwidth) of the whole (FORMULAS 2)."""
        compute_s = sum(operator.compute_s for operator in self.operators)
        return max(compute_s, sum(operator.memory_s for operator in self.operators))

    def bound_s(self) -> dict[Bound, float]:
        """Seconds of the operators that each resource bounds."""
        seconds: dict[Bound, float] = {"compute": 0.0, "memory": 0.0, "overhead": 0.0}
        for operator in self.operators:
            seconds[operator.bound] += operator.seconds
        return seconds

    @property
    def bound(self) -> Bound:
        """What bounds most of the time."""
        seconds = self.bound_s()
        return max(seconds, key=lambda name: seconds[name])


def time_operators(
    operators: Sequence[Operator], hardware: Hardware, dtype: Dtype, efficiency: Efficiency = IDEAL
) -> Timing:
    """Every operator on one device, matrix products in `dtype`. Raises UserError where the table lacks what is needed.

    Other FLOPs run at the fp32 peak, where the table has one: tensor cores only multiply matrices.
    """
    matmul_peak = hardware.peak(dtype) * efficiency.compute
    other_peak = (hardware.peak_flops_per_s.get("fp32") or hardware.peak(dtype)) * efficiency.compute
    bandwidth = hardware.known("bandwidth_bytes_per_s") * efficiency.memory
    return Timing(
        tuple(
            OperatorTime(
                operator.name,
                operator.times * (operator.cost.matmul_flops / matmul_peak + operator.cost.other_flops / other_peak),
                operator.times * operator.cost.moved_bytes / bandwidth,
                operator.times * efficiency.overhead_s,
            )
            for operator in operators
        )
    )


def matmul_intensity(rows: int, inner: int, columns: int, bytes_per_element: float) -> float:
    """FLOPs a byte of (rows x inner) times (inner x columns), each matrix moved once.

    With rows = B S and inner = columns = D it is 2 B S D / (p (2 B S + D)) (FORMULAS 2; the notes forget the 2).
    """
    return 2 * rows * inner * columns / (bytes_per_element * (rows * inner + inner * columns + rows * columns))
