"""Counting what torch really does: matmul FLOPs, kept bytes, the peak of allocated bytes, growth of the process.

torch's own counters miss some of it: `FlopCounterMode` knows neither the CPU's fused attention nor addition in place;
`saved_tensors_hooks` calls for every view and for graphs that are gone by the end. All but the allocator's peak can be
counted of `fake_tensors` too, which have sizes and no numbers: what a processor would run of a model that fits none.
"""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from isostate.mixers import engine_kernel, feature_maps, projections, rotary
from isostate.mixers.native import torch_operations
from isostate.model import decoder


def _fused_attention(query, key, value, *args, out_shape=None, **kwargs) -> int:
    """Two matmuls over every query and key, none halved."""
    batch, heads, queries, size = query
    return 4 * batch * heads * queries * key[-2] * size


def _fused_attention_backward(gradient, query, key, value, *args, out_shape=None, **kwargs) -> int:
    """The scores once more, and two gradients of either matmul."""
    batch, heads, queries, size = query
    return 10 * batch * heads * queries * key[-2] * size


def _added_matmul(total, a, b, *args, out_shape=None, **kwargs) -> int:
    return 2 * a[0] * a[1] * b[1]


def matmul_flops(work: Callable[..., object], *arguments: object) -> int:
    """Matmul FLOPs of the work, 2 a multiply-accumulate; masked ones too.

    Of torch's operations: ours, in whose kernels no counter sees a product, stand still meanwhile.
    """
    aten = torch.ops.aten
    missing = {
        aten._scaled_dot_product_flash_attention_for_cpu: _fused_attention,
        aten._scaled_dot_product_flash_attention_for_cpu_backward: _fused_attention_backward,
        aten.addmm_: _added_matmul,
    }
    counter = FlopCounterMode(display=False, custom_mapping=missing)
    with counter, torch_operations():
        work(*arguments)
    return counter.get_total_flops()


class _NothingStored(TorchDispatchMode):
    """Answers the model's questions of fake tensors, whether any number is not zero, as from an empty state: no."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return False if func is torch.ops.aten._local_scalar_dense.default else func(*args, **(kwargs or {}))


@contextmanager
def fake_tensors() -> Iterator[None]:
    """Inside, models are built and run without memory and without arithmetic, by the operators of a CPU."""
    forget_tables()
    try:
        with FakeTensorMode(), _NothingStored():
            yield
    finally:
        forget_tables()


class _Held:
    """A kept tensor, as long as a graph holds it."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def kept_storages(excluded: Iterable[Tensor], work: Callable[..., object], *arguments: object) -> Counter[int]:
    """Of the storages that the graph behind the work's result keeps, each once: how many of each size in bytes."""
    known = {tensor.untyped_storage()._cdata for tensor in excluded}  # fake ones have no address
    packed: list[weakref.ref[_Held]] = []

    def pack(tensor: Tensor) -> _Held:
        held = _Held(tensor.detach())  # else a result that is kept would keep its own graph
        packed.append(weakref.ref(held))
        return held

    with saved_tensors_hooks(pack, lambda held: held.tensor):
        result = work(*arguments)
    alive = [held.tensor.untyped_storage() for reference in packed if (held := reference()) is not None]
    sizes = {storage._cdata: storage.nbytes() for storage in alive if storage._cdata not in known}
    del result
    return Counter(sizes.values())


def kept_bytes(excluded: Iterable[Tensor], work: Callable[..., object], *arguments: object) -> int:
    """Bytes that the graph behind the work's result keeps, beside the excluded tensors."""
    return sum(size * times for size, times in kept_storages(excluded, work, *arguments).items())


def allocations(work: Callable[[], object]) -> list[int]:
    """Bytes that torch's allocator gave (positive) and got back, in order."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded:
        work()
    events = [event for event in recorded.profiler.kineto_results.events() if event.name() == "[memory]"]
    return [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]


def peak_allocated_bytes(work: Callable[[], object]) -> int:
    """The most that the work's own allocations held at once, by torch's allocator."""
    held = peak = 0
    for nbytes in allocations(work):
        held += nbytes
        peak = max(peak, held)
    return peak


def resident_growth(work: Callable[[], object]) -> int | None:
    """How much larger the process's resident memory was at its largest in the work; None where the system cannot say.

    Reuse of what was free before, and pages that stay when tensors are gone, make it another number than the peak.
    """
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")  # the peak begins anew
        before = _status("VmRSS")
        work()
        return _status("VmHWM") - before
    except OSError:
        return None


def forget_tables() -> None:
    """Empties the caches of tables that modules share, so that the next step makes them again."""
    for cached in (
        rotary._rotation,
        projections.alibi_slopes,
        projections.retention_slopes,
        feature_maps._factors,
        feature_maps._weights,
        engine_kernel._tables,
        decoder.sinusoids,
    ):
        cached.cache_clear()
    gc.collect()


def _status(name: str) -> int:
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(name + ":"))
    return 1024 * int(line.split()[1])
