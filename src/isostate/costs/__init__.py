"""What it costs: FLOPs, bytes, memory, before anything runs; and what this machine can do.

What stands here is read when it is first asked for: counting a famous model needs no torch, and waits for none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isostate.costs.hardware import measure_bandwidth, measure_gemm
    from isostate.costs.model import forward_cost, saved_elements
    from isostate.costs.training import peak_train_bytes, train_flops, train_step_cost

MODULES = {
    "forward_cost": "model",
    "measure_bandwidth": "hardware",
    "measure_gemm": "hardware",
    "peak_train_bytes": "training",
    "saved_elements": "model",
    "train_flops": "training",
    "train_step_cost": "training",
}

__all__ = [
    "forward_cost",
    "measure_bandwidth",
    "measure_gemm",
    "peak_train_bytes",
    "saved_elements",
    "train_flops",
    "train_step_cost",
]


def __getattr__(name: str) -> Any:
    return getattr(import_module(f"isostate.costs.{MODULES[name]}"), name) if name in MODULES else _absent(name)


def _absent(name: str) -> Any:
    raise AttributeError(f"module 'isostate.costs' has no attribute {name!r}")
