"""What it costs: FLOPs, bytes, memory, before anything runs; and what this machine can do."""

from isostate.costs.hardware import measure_bandwidth, measure_gemm
from isostate.costs.model import forward_cost, saved_elements
from isostate.costs.training import peak_train_bytes, train_flops, train_step_cost

__all__ = [
    "forward_cost",
    "measure_bandwidth",
    "measure_gemm",
    "peak_train_bytes",
    "saved_elements",
    "train_flops",
    "train_step_cost",
]
