"""Generation on one device: state a token, latency of a decode step, tokens a second against the batch.

A step reads every weight once for the whole batch and the state of every sequence:

    seconds = max((weights + batch * state) / bandwidth, batch * FLOPs / peak)        (FORMULAS section 2)

so a larger batch is free until decode turns compute-bound, if its state lets it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from isostate.costs.hardware_table import Dtype, Hardware
from isostate.costs.roofline import IDEAL, Bound, Efficiency, Timing, time_operators
from isostate.quantities import Operator


def kv_bytes_per_token(
    n_layers: int, n_kv_heads: int, head_dim: int, bytes_per_element: float, tensor_ranks: int = 1
) -> float:
    """Keys and values (not queries: ERRATA 26) of all layers, on one rank: 2 p L Kv H / T.

    More ranks than key-value heads hold copies (ERRATA 27).
    """
    return 2 * bytes_per_element * n_layers * n_kv_heads * head_dim / min(tensor_ranks, n_kv_heads)


def tokens_as_heavy_as_weights(d_model: int, kv_share: float = 1.0) -> float:
    """Cached tokens, of all sequences, that weigh as much as a GPT's 12 L D^2 weights: 6 D A / Kv (ERRATA 28)."""
    return 6 * d_model / kv_share


@dataclass(frozen=True)
class Step:
    """One decode step of a model: what a device must read and compute. Bytes and FLOPs, of one sequence where said."""

    weight_bytes: float
    state_bytes: float  # read a step, one sequence
    step_flops: float  # one sequence

    @staticmethod
    def of(operators: Sequence[Operator], batch: int) -> Step:
        """From the operators of a step of `batch` sequences; bytes that are neither weights nor state are left out."""
        return Step(
            sum(operator.times * operator.weight_bytes for operator in operators),
            sum(operator.times * operator.state_bytes for operator in operators) / batch,
            sum(operator.total.total_flops for operator in operators) / batch,
        )

    def seconds(self, batch: int, hardware: Hardware, dtype: Dtype, efficiency: Efficiency = IDEAL) -> float:
        """The latency of a token for every sequence of the batch."""
        return max(self._sides(batch, hardware, dtype, efficiency))

    def tokens_per_s(self, batch: int, hardware: Hardware, dtype: Dtype, efficiency: Efficiency = IDEAL) -> float:
        return batch / self.seconds(batch, hardware, dtype, efficiency)

    def bound(self, batch: int, hardware: Hardware, dtype: Dtype, efficiency: Efficiency = IDEAL) -> Bound:
        memory_s, compute_s = self._sides(batch, hardware, dtype, efficiency)
        return "compute" if compute_s >= memory_s else "memory"

    def critical_batch(self, hardware: Hardware, dtype: Dtype, efficiency: Efficiency = IDEAL) -> float:
        """The batch from which decode is compute-bound; infinite where reading its state always takes longer."""
        state_s, compute_s = self._rates(hardware, dtype, efficiency)
        weights_s = self.weight_bytes / (hardware.known("bandwidth_bytes_per_s") * efficiency.memory)
        return weights_s / (compute_s - state_s) if compute_s > state_s else math.inf

    def largest_batch(self, memory_bytes: float) -> int:
        """Sequences whose state fits beside the weights; 0 where the weights alone do not fit."""
        left = memory_bytes - self.weight_bytes
        return max(0, int(left // self.state_bytes)) if self.state_bytes and left > 0 else 0

    def _rates(self, hardware: Hardware, dtype: Dtype, efficiency: Efficiency) -> tuple[float, float]:
        """Seconds a sequence: of reading its state, of computing."""
        bandwidth = hardware.known("bandwidth_bytes_per_s") * efficiency.memory
        return self.state_bytes / bandwidth, self.step_flops / (hardware.peak(dtype) * efficiency.compute)

    def _sides(self, batch: int, hardware: Hardware, dtype: Dtype, efficiency: Efficiency) -> tuple[float, float]:
        state_s, compute_s = self._rates(hardware, dtype, efficiency)
        weights_s = self.weight_bytes / (hardware.known("bandwidth_bytes_per_s") * efficiency.memory)
        return weights_s + batch * state_s, batch * compute_s


def critical_batch(hardware: Hardware, dtype: Dtype, bytes_per_weight: float) -> float:
    """Where a state weighs nothing and a weight costs 2 FLOPs: peak * bytes / (2 * bandwidth) (FORMULAS 2)."""
    return hardware.peak(dtype) * bytes_per_weight / (2 * hardware.known("bandwidth_bytes_per_s"))


@dataclass(frozen=True)
class Throughput:
    """What a batch gives: the latency of a step, tokens a second, and what bounds it."""

    batch: int
    timing: Timing

    @property
    def step_s(self) -> float:
        return self.timing.seconds

    @property
    def tokens_per_s(self) -> float:
        return self.batch / self.timing.seconds


def throughput(
    operators_of: Callable[[int], Sequence[Operator]],
    batches: Iterable[int],
    hardware: Hardware,
    dtype: Dtype,
    efficiency: Efficiency = IDEAL,
) -> list[Throughput]:
    """For each batch, operator by operator; `operators_of(batch)` gives those of one decode step."""
    return [Throughput(batch, time_operators(operators_of(batch), hardware, dtype, efficiency)) for batch in batches]


def decode_intensity(batch: int, context: int, d_model: int, bytes_per_element: float, kv_share: float = 1.0) -> float:
    """Weight FLOPs a byte of a decode step of a GPT block (12 D^2 weights, 2 S D keys and values a sequence).

    2/p * B D / (D + B S kv_share / 6): 2B/p for short contexts, 12 D / (p S kv_share) for long ones, whatever the batch
    (ERRATA 29). `kv_share` is key-value heads over heads.
    """
    return 2 / bytes_per_element * batch * d_model / (d_model + batch * context * kv_share / 6)
