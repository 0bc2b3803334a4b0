"""The cost sheet of a model on a device: every number by name, its unit in the name, as plain JSON.

Counts are integers. Seconds are a roofline's, operator by operator, at the shares of the peaks that `stated_efficiency`
gives; training time is what the FLOPs of the model take at a stated utilisation (MFU). The page computes the same
numbers by the same steps (report/assets/cost.js), so both are written here as flat as arithmetic can be.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isostate.config import UserError
from isostate.costs.hardware_table import BYTES_OF, Dtype, Hardware
from isostate.costs.money import training_bill
from isostate.costs.roofline import Timing, stated_efficiency, time_operators
from isostate.costs.subject import Subject
from isostate.costs.sublayer import Phase, Run
from isostate.quantities import Operator

if TYPE_CHECKING:
    from isostate.costs.precision import PrecisionName
    from isostate.costs.training import TrainingMemory
    from isostate.mixers.native import Kernels
    from isostate.model import Recompute

LARGEST_BATCH = 2**24  # beyond it nobody asks where decode turns compute-bound
# Bytes a parameter in training by AdamW. Below 32 bits: gradients and a master copy in fp32 too, 18 N for 16 bits
# (FORMULAS section 2; ZeRO keeps gradients of 16 bits and says 16 N).
GRADIENT_BYTES, MOMENT_BYTES, MASTER_BYTES = 4, 8, 4
Numbers = dict[str, Any]
# How a model of that dtype trains: in 16 bits with master weights. Of other dtypes no step is told.
PRECISION_OF: dict[str, PrecisionName] = {"fp32": "fp32", "tf32": "fp32", "bf16": "mixed", "fp16": "mixed"}


@dataclass(frozen=True)
class Setting:
    """What the model is asked to do, and on what. `utilised`: the share of the peak that training reaches (MFU)."""

    batch: int
    context: int
    dtype: Dtype
    hardware: Hardware
    tokens: int
    devices: int = 1
    utilised: float = 0.4
    recompute: Recompute = "none"

    def __post_init__(self) -> None:
        for name in ("batch", "context", "tokens", "devices"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} = {getattr(self, name)}: must be at least 1")

    @property
    def bits(self) -> int:
        return round(8 * BYTES_OF[self.dtype])

    def run(self, phase: Phase, batch: int | None = None) -> Run:
        bits = self.bits
        return Run(batch or self.batch, self.context, phase, False, bits, bits, bits)

    def time(self, operators: Sequence[Operator]) -> Timing:
        return time_operators(operators, self.hardware, self.dtype, stated_efficiency(self.hardware))


def sheet(subject: Subject, at: Setting) -> dict[str, Any]:
    """All of it: the model, the setting, the numbers, where the FLOPs and bytes go, what the numbers forbid."""
    found = numbers(subject, at)
    phases: dict[str, Phase] = {"forward": "prefill", **({"decode": "decode"} if subject.generates else {})}
    return {
        "model": subject.name,
        "title": subject.title,
        "source": subject.source,
        "published": list(subject.published),
        "exact": subject.exact,
        "estimated": subject.estimated,
        "setting": {
            "batch": at.batch,
            "context": at.context,
            "dtype": at.dtype,
            "hardware": at.hardware.name,
            "tokens": at.tokens,
            "devices": at.devices,
            "utilised": at.utilised,
            "recompute": at.recompute,
        },
        "numbers": found,
        "parts": {part: count for part, count in subject.params.parts.items() if count},
        "operators": {name: shares(subject.operators(at.run(phase))) for name, phase in phases.items()},
        "ratio_formula": subject.ratio(at.context).formula if subject.ratio else None,
        "kept": kept_rows(memory_at(subject, at)),
        "alarms": alarms(subject, at, found),
    }


def numbers(subject: Subject, at: Setting) -> Numbers:
    """Every number of the sheet. Raises UserError where the model or the device cannot do what is asked."""
    forward = subject.operators(at.run("prefill"))
    found: Numbers = {
        **_parameters(subject, at),
        **_pass("forward", forward, at),
        **_training(subject, at),
        "memory_bytes": at.hardware.memory_bytes,
    }
    if subject.generates:
        decode = subject.operators(at.run("decode"))
        found |= _pass("decode", decode, at) | _state(subject, at)
        step_s = found["decode.seconds"]
        found["decode.token_flops"] = found["decode.matmul_flops"] // at.batch
        found["decode.tokens_per_s"] = at.batch / step_s
        found["decode.critical_batch"] = critical_batch(subject, at)
        found["decode.largest_batch"] = _largest_batch(found)
    return found


def kept_rows(memory: TrainingMemory | None) -> list[dict[str, Any]]:
    """What a step keeps for its backward, tensor by tensor; those of one layer once, with the number of layers."""
    return [row._asdict() for row in memory.kept.rows] if memory else []


def shares(operators: Sequence[Operator]) -> list[dict[str, Any]]:
    """FLOPs and bytes by operator name, in the order they run; those of one name together."""
    rows: dict[str, dict[str, Any]] = {}
    for one in operators:
        row = rows.setdefault(
            one.name, dict.fromkeys(("matmul_flops", "other_flops", "moved_bytes", "weight_bytes", "state_bytes"), 0)
        )
        row["matmul_flops"] += one.total.matmul_flops
        row["other_flops"] += one.total.other_flops
        row["moved_bytes"] += one.total.moved_bytes
        row["weight_bytes"] += one.times * one.weight_bytes
        row["state_bytes"] += one.times * one.state_bytes
    return [{"name": name, **row} for name, row in rows.items()]


def critical_batch(subject: Subject, at: Setting) -> int | None:
    """The smallest batch whose decode step computes longer than it moves bytes; None where none does."""

    def sides(batch: int) -> tuple[float, float]:
        timing = at.time(subject.operators(at.run("decode", batch)))
        return sum(one.compute_s for one in timing.operators), sum(one.memory_s for one in timing.operators)

    def computes(batch: int) -> bool:
        compute_s, memory_s = sides(batch)
        return compute_s >= memory_s

    if not computes(LARGEST_BATCH):
        return None
    for first, second in ((1, 2), (LARGEST_BATCH // 2, LARGEST_BATCH)):
        # Two straight lines cross once; of experts they are straight where every expert is read already.
        (compute_1, memory_1), (compute_2, memory_2) = sides(first), sides(second)
        slope = ((compute_2 - compute_1) - (memory_2 - memory_1)) / (second - first)
        if slope > 0:
            crossing = max(1, first + math.ceil((memory_1 - compute_1) / slope))
            if crossing <= LARGEST_BATCH and computes(crossing) and not (crossing > 1 and computes(crossing - 1)):
                return crossing
    low, high = 0, LARGEST_BATCH
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if computes(middle) else (middle, high)
    return high


def alarms(subject: Subject, at: Setting, found: Numbers) -> list[str]:
    """What the numbers forbid, in words."""
    memory, name = found["memory_bytes"], at.hardware.name
    said = []
    if memory is not None and found["weights_bytes"] > memory:
        least = math.ceil(found["weights_bytes"] / memory)
        said.append(
            f"the weights alone are {found['weights_bytes']:,} bytes in {at.dtype}, {name} holds {memory:,}: "
            f"at least {least} of them, or a smaller dtype"
        )
    elif memory is not None and found.get("generation_bytes", 0) > memory:
        fits = found["decode.largest_batch"]
        said.append(
            f"weights and the state of {at.batch:,} x {at.context:,} tokens are {found['generation_bytes']:,} bytes, "
            f"{name} holds {memory:,}: at this context {fits:,} sequences fit, at this batch "
            f"{longest_context(subject, at, memory - found['weights_bytes']):,} tokens"
        )
    if subject.limit is None and subject.fixed is None and at.context > subject.context:
        said.append(f"a context of {at.context:,} is beyond the {subject.context:,} tokens that the model was made for")
    return said


def longest_context(subject: Subject, at: Setting, left_bytes: int) -> int:
    """The longest context whose state, of the whole batch, stays within `left_bytes`."""

    def fits(context: int) -> bool:
        return at.batch * _bytes(subject.state_size(context).elements, at.bits) <= left_bytes

    low, high = 0, at.context
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _parameters(subject: Subject, at: Setting) -> Numbers:
    params = subject.params
    weights = _bytes(params.total, at.bits)
    optimizer = params.total * max(MOMENT_BYTES, at.bits // 4) + (params.total * MASTER_BYTES if at.bits < 32 else 0)
    gradients = params.total * max(GRADIENT_BYTES, at.bits // 8)
    return {
        "params.total": params.total,
        "params.non_embedding": params.non_embedding,
        "params.active": params.active,
        "weights_bytes": weights,
        "gradients_bytes": gradients,
        "optimizer_bytes": optimizer,
        "training_bytes": weights + gradients + optimizer,
    }


def _pass(name: str, operators: Sequence[Operator], at: Setting) -> Numbers:
    timing = at.time(operators)
    bound_s = timing.bound_s()
    return {
        f"{name}.matmul_flops": sum(one.times * one.cost.matmul_flops for one in operators),
        f"{name}.other_flops": sum(one.times * one.cost.other_flops for one in operators),
        f"{name}.moved_bytes": sum(one.times * one.cost.moved_bytes for one in operators),
        f"{name}.weight_bytes": sum(one.times * one.weight_bytes for one in operators),
        f"{name}.state_bytes": sum(one.times * one.state_bytes for one in operators),
        f"{name}.seconds": timing.seconds,
        f"{name}.compute_bound_s": bound_s["compute"],
        f"{name}.memory_bound_s": bound_s["memory"],
        f"{name}.bound": timing.bound,
    }


def _training(subject: Subject, at: Setting) -> Numbers:
    step = subject.train_cost(at.batch, at.context)
    total = step.matmul_flops * at.tokens // (at.batch * at.context)
    bill = training_bill(total, at.devices, at.hardware, at.dtype, at.utilised)
    low, high = bill.dollars or (None, None)
    return {
        "training.matmul_flops": step.matmul_flops,
        "training.other_flops": step.other_flops,
        "training.total_flops": total,
        "training.seconds": bill.seconds,
        "training.dollars_low": low,
        "training.dollars_high": high,
        "training.kwh": bill.kwh,
        **kept_numbers(memory_at(subject, at)),
    }


def memory_at(subject: Subject, at: Setting) -> TrainingMemory | None:
    """None where no tape tells it: of models counted by formula, and in types that no step is told in."""
    precision = PRECISION_OF.get(at.dtype)
    if subject.memory is None or precision is None:
        return None
    return subject.memory(at.batch, at.context, precision, at.recompute, kernels_on(at.hardware))


def kernels_on(hardware: Hardware) -> Kernels | None:
    """Ours run on processors, as they do here (None); anything else runs torch's operations."""
    return None if hardware.kind == "cpu" else "torch"


def kept_numbers(memory: TrainingMemory | None) -> Numbers:
    """What waits for the backward, in all and by layer, and the most that training holds at once."""
    if memory is None:
        return {}
    return {
        "activation_bytes": memory.kept.total_bytes,
        "activation_layer_bytes": memory.kept.layer_bytes,
        "peak_bytes": memory.total,
    }


def _state(subject: Subject, at: Setting) -> Numbers:
    after = subject.state_size(at.context).elements
    sequence = _bytes(after, at.bits)
    found: Numbers = {
        "state.elements": after,
        "state.sequence_bytes": sequence,
        "state.token_bytes": _bytes(subject.state_size(at.context + 1).elements - after, at.bits),
        "state.batch_bytes": at.batch * sequence,
        "generation_bytes": _bytes(subject.params.total, at.bits) + at.batch * sequence,
    }
    if subject.ratio is not None:
        ratio = subject.ratio(at.context)
        found["ratio.weight_flops"], found["ratio.state_flops"] = ratio.weight_flops, ratio.state_flops
        found["ratio.value"] = ratio.value
    return found


def _largest_batch(found: Numbers) -> int | None:
    """Sequences whose state fits beside the weights; None where the memory is not known, or no state is kept."""
    if found["memory_bytes"] is None or not found["state.sequence_bytes"]:
        return None
    return max(0, found["memory_bytes"] - found["weights_bytes"]) // found["state.sequence_bytes"]


def _bytes(elements: int, bits: int) -> int:
    return -(-elements * bits // 8)
