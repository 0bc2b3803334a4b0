"""What it costs: FLOPs, bytes, memory, before anything runs; and what this machine can do.

What stands here is read when it is first asked for: counting a famous model needs no torch, and waits for none.
`verify.py` and `counting.py`, which run what is counted, are imported from their own files.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isostate.costs.activations import Activation, Activations, gpt_block_bytes, kept_activations
    from isostate.costs.flops import StepFlops, step_flops
    from isostate.costs.hardware import measure_bandwidth, measure_gemm
    from isostate.costs.model import forward_cost
    from isostate.costs.parameters import parameter_shapes
    from isostate.costs.precision import break_even_batch, model_state_bytes, state_bytes
    from isostate.costs.training import (
        TrainingMemory,
        alive_at_peak,
        peak_train_bytes,
        train_flops,
        train_step_cost,
        training_memory,
    )

MODULES = {
    "Activation": "activations",
    "Activations": "activations",
    "StepFlops": "flops",
    "TrainingMemory": "training",
    "alive_at_peak": "training",
    "break_even_batch": "precision",
    "forward_cost": "model",
    "gpt_block_bytes": "activations",
    "kept_activations": "activations",
    "measure_bandwidth": "hardware",
    "measure_gemm": "hardware",
    "model_state_bytes": "precision",
    "parameter_shapes": "parameters",
    "peak_train_bytes": "training",
    "state_bytes": "precision",
    "step_flops": "flops",
    "train_flops": "training",
    "train_step_cost": "training",
    "training_memory": "training",
}

__all__ = [
    "Activation",
    "Activations",
    "StepFlops",
    "TrainingMemory",
    "alive_at_peak",
    "break_even_batch",
    "forward_cost",
    "gpt_block_bytes",
    "kept_activations",
    "measure_bandwidth",
    "measure_gemm",
    "model_state_bytes",
    "parameter_shapes",
    "peak_train_bytes",
    "state_bytes",
    "step_flops",
    "train_flops",
    "train_step_cost",
    "training_memory",
]


def __getattr__(name: str) -> Any:
    return globals().setdefault(name, _found(name) if name in MODULES else _absent(name))


def _found(name: str) -> Any:
    return getattr(import_module(f"isostate.costs.{MODULES[name]}"), name)


def _absent(name: str) -> Any:
    raise AttributeError(f"module 'isostate.costs' has no attribute {name!r}")
