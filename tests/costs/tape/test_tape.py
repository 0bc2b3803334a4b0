"""The tape itself: who holds what, how gradients come together, what a part that runs again keeps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.functional import gelu

from isostate.costs.counting import peak_allocated_bytes
from isostate.costs.tape.operations import add, dropped, linear, pointwise, split
from isostate.costs.tape.tape import Tape, Value


def test_bytes_live_as_long_as_anyone_holds_them():
    tape = Tape(4)
    x = tape.value(10, "x")
    view = tape.view(x, 5)
    tape.free(x)
    assert (tape.live, tape.peak) == (40, 40)
    kept = tape.keep(view.storage)
    tape.free(view)
    assert tape.live == 40
    tape.passing(100, 1)
    assert (tape.live, tape.peak) == (40, 140)
    tape.free(*kept.storages)
    assert tape.live == 0
    assert [storage.name for storage in tape.kept] == ["x"]


def start(tape: Tape, size: int) -> Value:
    """An input that wants its gradient; the graph holds it until that has come."""
    x = tape.value(size, "x")
    tape.also(x)
    tape.node(lambda: tape.free(tape.gradient_of(x), x))
    return x


def finish(tape: Tape, y: Value) -> None:
    """y.backward(given), whose caller holds both to the end."""
    given = tape.new(y.size, "gradient of the loss")
    given.holders += 1
    tape.arrive(y, given)
    tape.backward()
    tape.free(y, given)
    assert tape.live == 0, "everything is freed in the end"


def peak_in_torch(forward: Callable[[Tensor], Tensor], *shape: int, out: tuple[int, ...]) -> int:
    given = torch.ones(out)

    def work() -> None:
        y = forward(torch.zeros(shape).requires_grad_())
        y.backward(given.clone())

    work()
    return peak_allocated_bytes(work)


def test_two_layers_peak_as_in_torch():
    tape = Tape(4)
    x = start(tape, 32)
    inner = linear(tape, x, 8, 4, 16, True, "inner")
    active = pointwise(tape, [inner], [inner.storage], "active")
    tape.free(inner)
    out = linear(tape, active, 8, 16, 4, False, "out")
    tape.free(active)
    y = add(tape, x, out, "y")
    tape.free(x, out)
    finish(tape, y)
    first, second = torch.nn.Linear(4, 16), torch.nn.Linear(16, 4, bias=False)
    for parameter in [*first.parameters(), *second.parameters()]:
        parameter.grad = torch.zeros_like(parameter)
    assert peak_in_torch(lambda x: x + second(gelu(first(x))), 2, 4, 4, out=(2, 4, 4)) == tape.peak


def test_a_second_gradient_is_added_in_place_unless_the_first_is_held_or_viewed():
    for viewed, holders, fresh in ((False, 1, 0), (True, 1, 16), (False, 2, 16)):
        tape = Tape(4)
        x = tape.value(4, "x")
        first, second = tape.new(4, "first"), tape.new(4, "second")
        first.viewed, first.holders = viewed, holders
        tape.arrive(x, first)
        tape.arrive(x, second)
        assert tape.peak == 3 * 16 + fresh
        assert tape.live == 2 * 16 + 16 * (holders - 1)


def test_parts_give_their_gradients_back_as_one():
    tape = Tape(4)
    x = start(tape, 24)
    a, b = split(tape, x, [12, 12])
    tape.free(x)
    y = pointwise(tape, [a, b], [a.storage, b.storage], "a times b")
    tape.free(a, b)
    finish(tape, y)
    assert peak_in_torch(product_of_halves, 3, 8, out=(3, 4)) == tape.peak


def product_of_halves(x_TD: Tensor) -> Tensor:
    a_TD, b_TD = x_TD.chunk(2, dim=-1)
    return a_TD * b_TD


def checkpointed(tape: Tape, drops: bool) -> list[str]:
    """Runs a part, then backwards; the names of what came in the replay."""
    x = start(tape, 32)
    before = 0

    def run() -> Value:
        inner = linear(tape, x, 8, 4, 16, False, "inner")
        active = pointwise(tape, [inner], [inner.storage], "active")
        tape.free(inner)
        out = linear(tape, active, 8, 16, 4, False, "out")
        tape.free(active)
        if drops:
            whole, out = out, dropped(tape, out, "out")
            tape.free(whole)
        return out

    y = tape.checkpointed(run, x, drops)
    tape.free(x)
    assert tape.log is not None
    before = len(tape.log)
    finish(tape, y)
    names = [storage.name for storage, sign in tape.log[before:] if sign > 0]
    return names[: names.index("gradient of a weight")]


def test_a_part_that_runs_again_keeps_its_input_and_stops_at_what_backward_needs_last():
    tape = Tape(4, log=[])
    assert checkpointed(tape, drops=False) == ["gradient of the loss", "inner", "active"]
    assert [storage.name for storage in tape.kept] == ["x"]


def test_dropping_runs_the_last_projection_again_and_keeps_the_generators_state():
    tape = Tape(4, log=[])
    again = checkpointed(tape, drops=True)
    wanted = ["state of the generator", "inner", "active", "out", "dropout mask of out"]
    assert again == ["gradient of the loss", *wanted, "gradient of out"]


def test_a_gradient_that_never_comes_is_a_bug():
    tape = Tape(4)
    x = tape.value(4, "x")
    with pytest.raises(AssertionError, match="no gradient came to x"):
        tape.gradient_of(x)
