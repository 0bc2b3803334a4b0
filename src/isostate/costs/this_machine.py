"""This machine's row of the hardware table, measured: matrix products by type, and memory.

A measured row is what is achieved, not a datasheet's peak: no efficiency is to be applied to it.
"""

from __future__ import annotations

import os

import torch

from isostate.costs.hardware import best_seconds, measure_bandwidth
from isostate.costs.hardware_table import Dtype, Hardware, find_hardware

NAME = "this"
TORCH_DTYPES: dict[Dtype, torch.dtype] = {
    "fp64": torch.float64,
    "fp32": torch.float32,
    "fp16": torch.float16,
    "bf16": torch.bfloat16,
}
MATMUL_SIZE = 512  # large enough for the peak; half types without hardware for them stay within a second


def hardware_named(name: str) -> Hardware:
    """A row of the table, or this machine measured now where the name is "this". Raises UserError for unknown ones."""
    return this_machine() if name.strip().lower() == NAME else find_hardware(name)


def this_machine() -> Hardware:
    """Measured on torch's threads, in a second or two; memory is the system's."""
    threads = torch.get_num_threads()
    return Hardware(
        name=NAME,
        title=f"this machine, {threads} thread{'s' if threads > 1 else ''}, measured",
        vendor="measured",
        year=0,
        kind="cpu",
        peak_flops_per_s={name: measure_matmul(dtype) for name, dtype in TORCH_DTYPES.items()},
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        bandwidth_bytes_per_s=measure_bandwidth(),
        matmul_efficiency=1.0,
        source="measured here, best of several trials",
    )


def measure_matmul(dtype: torch.dtype, size: int = MATMUL_SIZE, trials: int = 5) -> float:
    """FLOPs a second of square matrix products of that type on torch's threads; 1 multiply-accumulate = 2 FLOPs."""
    a, b = torch.ones(size, size, dtype=dtype), torch.ones(size, size, dtype=dtype)
    product = torch.empty(size, size, dtype=dtype)
    return 2 * size**3 / best_seconds(lambda: torch.mm(a, b, out=product), trials)
