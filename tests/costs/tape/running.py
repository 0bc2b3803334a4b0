"""One piece of a model in torch and on the tape: what each takes from the allocator, forward and backward, in order."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from isostate.costs import counting
from isostate.costs.tape.tape import TOKENS, Event, Tape, Value
from isostate.mixers.native import kernels_here

SCALARS = 64  # bytes: smaller allocations are left out, on both sides
Arrivals = list[tuple[int, int]]  # bytes that come, and what is held then


def in_torch(forward: Callable[[Tensor], Tensor], shape: tuple[int, ...], module: nn.Module | None = None) -> Arrivals:
    """y = forward(x), y.backward(given); x, its gradient and the parameters' are there already."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    for leaf in [x, *(module.parameters() if module else [])]:
        leaf.grad = torch.zeros_like(leaf)
    given = torch.ones_like(forward(x))

    def work() -> None:
        y = forward(x)
        y.backward(given)

    work()
    return _arrivals(counting.allocations(work))


def on_tape(tell: Callable[[Tape, Value], Value], size: int, layout: int = TOKENS) -> Arrivals:
    """The same, told, of the kernels that run here; y's gradient lies in `layout`."""
    log: list[Event] = []
    tape = Tape(4, torch.get_num_threads(), log, kernels_here())
    x = tape.value(size, "x")
    tape.node(lambda: tape.free(tape.gradient_of(x)))
    y = tell(tape, x)
    given = tape.new(y.size, "given", layout=layout)
    tape.also(Value(given, y.size, 4))
    tape.arrive(y, given)
    tape.backward()
    tape.free(y, given, x)
    assert tape.live == 0, "everything is freed in the end"
    return _arrivals([sign * storage.nbytes for storage, sign in log if storage not in (x.storage, given)])


def assert_same(told: Arrivals, happened: Arrivals) -> None:
    """Sizes in the same order; what is held is equal but for scalars."""
    assert [nbytes for nbytes, _ in told] == [nbytes for nbytes, _ in happened]
    for (_, mine), (_, torchs) in zip(told, happened, strict=True):
        assert abs(mine - torchs) <= SCALARS


def _arrivals(changes: list[int]) -> Arrivals:
    held, arrivals = 0, []
    for change in changes:
        held += change
        if change > SCALARS:
            arrivals.append((change, held))
    return arrivals
