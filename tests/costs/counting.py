"""Counting what torch runs: matmul FLOPs, what is saved for the backward, and the peak of allocated bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode


def _fused_attention(query, key, value, *args, out_shape=None, **kwargs) -> int:
    """FlopCounterMode knows no fused attention on the CPU: two matmuls over every query and key, none halved."""
    *rows, queries, size = query
    return 4 * rows[0] * rows[1] * queries * key[-2] * size


def _added_matmul(total, a, b, *args, out_shape=None, **kwargs) -> int:
    """Nor addition in place, which it knows out of place."""
    return 2 * a[0] * a[1] * b[1]


def matmul_flops(work: Callable[..., object], *arguments: object) -> int:
    aten = torch.ops.aten
    missing = {aten._scaled_dot_product_flash_attention_for_cpu: _fused_attention, aten.addmm_: _added_matmul}
    counter = FlopCounterMode(display=False, custom_mapping=missing)
    with counter:
        work(*arguments)
    return counter.get_total_flops()


def saved_float_elements(excluded: Iterable[Tensor], work: Callable[..., object], *arguments: object) -> int:
    """Elements of every float32 storage that the work keeps for its backward, each storage once."""
    known = {tensor.untyped_storage().data_ptr() for tensor in excluded}
    kept = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if tensor.dtype == torch.float32 and storage.data_ptr() not in known:
            kept[storage.data_ptr()] = storage  # held, so that no address comes twice
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = work(*arguments)
    elements = sum(storage.nbytes() for storage in kept.values()) // 4
    del result
    return elements


def peak_allocated_bytes(work: Callable[[], object]) -> int:
    """The most that the work's own allocations held at once, by torch's allocator."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events = [e for e in recorded.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak
