"""Single operations are told as torch runs them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from isostate.costs.tape import operations
from isostate.costs.tape.operations import (
    add,
    converted,
    convolution,
    copied,
    dropped,
    joined,
    linear,
    pointwise,
    pointwise_of_result,
    shifted,
    sliced,
    split,
    squared,
    unflattened,
)
from isostate.costs.tape.tape import HEADS, PART, TOKENS, TURNED, Tape, Value
from isostate.model.layers import ShortConvolution
from tests.costs.tape.running import assert_same, in_torch, on_tape

B, T, D = 3, 10, 16
SHAPE, SIZE, ROWS = (B, T, D), B * T * D, B * T


@pytest.mark.parametrize("bias", [False, True])
def test_a_linear_layer_keeps_its_input_and_frees_its_weights_gradient(bias):
    layer = nn.Linear(D, 24, bias=bias)
    assert_same(on_tape(lambda t, x: linear(t, x, ROWS, D, 24, bias, "y"), SIZE), in_torch(layer, SHAPE, layer))


@pytest.mark.parametrize(
    "function, tell",
    [
        (F.gelu, lambda t, x: pointwise(t, [x], [x.storage], "y")),
        (F.silu, lambda t, x: pointwise(t, [x], [x.storage], "y")),
        (F.softplus, lambda t, x: pointwise(t, [x], [x.storage], "y")),
        (F.relu, lambda t, x: pointwise_of_result(t, x, "y")),
        (torch.exp, lambda t, x: pointwise_of_result(t, x, "y")),
        (lambda x: x.softmax(-1), lambda t, x: pointwise_of_result(t, x, "y")),
        (torch.square, lambda t, x: squared(t, x, "y")),
        (lambda x: x + 1, lambda t, x: shifted(t, x, "y")),
        (lambda x: F.dropout(x, 0.1), lambda t, x: dropped(t, x, "y")),
        (lambda x: x * 2.0, lambda t, x: pointwise(t, [x], [], "y")),
    ],
    ids=["gelu", "silu", "softplus", "relu", "exp", "softmax", "square", "plus", "dropout", "times"],
)
def test_elementwise_functions_keep_what_their_backward_needs(function, tell):
    assert_same(on_tape(tell, SIZE), in_torch(function, SHAPE))


def test_a_residual_sum_passes_its_gradient_to_both():
    def tell(tape: Tape, x: Value) -> Value:
        branch = pointwise(tape, [x], [x.storage], "branch")
        y = add(tape, x, branch, "y")
        tape.free(branch)
        return y

    assert_same(on_tape(tell, SIZE), in_torch(lambda x: x + F.gelu(x), SHAPE))


def test_halves_are_views_whose_gradients_are_joined():
    def tell(tape: Tape, x: Value) -> Value:
        whole = pointwise(tape, [x], [x.storage], "whole")
        a, b = split(tape, whole, [SIZE // 2] * 2)
        tape.free(whole)
        y = pointwise(tape, [a, b], [a.storage, b.storage], "y")
        tape.free(a, b)
        return y

    def forward(x):
        a, b = F.gelu(x).chunk(2, dim=-1)
        return a * b

    assert_same(on_tape(tell, SIZE), in_torch(forward, SHAPE))


def test_what_is_joined_comes_back_as_views():
    def tell(tape: Tape, x: Value) -> Value:
        a, b = pointwise(tape, [x], [x.storage], "a"), pointwise(tape, [x], [x.storage], "b")
        y = joined(tape, [a, b], "y")
        tape.free(a, b)
        return y

    assert_same(on_tape(tell, SIZE), in_torch(lambda x: torch.cat([F.gelu(x), F.silu(x)], dim=0), SHAPE))


def test_a_slices_gradient_is_as_large_as_the_whole():
    def tell(tape: Tape, x: Value) -> Value:
        whole = pointwise(tape, [x], [x.storage], "whole")
        part = sliced(tape, whole, B * 4 * D, TOKENS)
        y = pointwise(tape, [part], [part.storage], "y")
        tape.free(whole, part)
        return y

    assert_same(on_tape(tell, SIZE), in_torch(lambda x: F.gelu(F.silu(x)[:, :4]), SHAPE))


def test_a_copy_passes_its_gradient_back_as_it_is_or_copied():
    def tell(tape: Tape, x: Value) -> Value:
        active = pointwise(tape, [x], [x.storage], "active")
        y = copied(tape, active, "y", B * (T + 2) * D, TOKENS)
        tape.free(active)
        return y

    assert_same(on_tape(tell, SIZE), in_torch(lambda x: F.pad(F.gelu(x), (0, 0, 0, 2)), SHAPE))


def test_another_precision_is_a_copy_both_ways():
    def tell(tape: Tape, x: Value) -> Value:
        wide = converted(tape, x, 8, "wide")
        active = pointwise(tape, [wide], [wide.storage], "active")
        y = converted(tape, active, 4, "y")
        tape.free(wide, active)
        assert converted(tape, y, 4, "the same") is y
        tape.free(y)
        return y

    assert_same(on_tape(tell, SIZE), in_torch(lambda x: F.gelu(x.double()).float(), SHAPE))


@pytest.mark.parametrize("layout, copies", [(TOKENS, 0), (TURNED, 0), (PART, 0), (HEADS, 1)])
def test_heads_are_seen_without_a_copy_but_their_gradient_by_head_is_copied(layout, copies):
    tape = Tape(4)
    x = tape.value(SIZE, "x")
    tape.node(lambda: tape.free(tape.gradient_of(x)))
    y = unflattened(tape, x)
    before = tape.live
    given = tape.new(SIZE, "given", layout=layout)
    tape.arrive(y, given)
    tape.backward()
    assert tape.peak == before + (1 + copies) * 4 * SIZE


@pytest.mark.parametrize("batch", [1, B])
@pytest.mark.parametrize("taps", [2, 5])
def test_the_short_convolution_is_told_tap_by_tap(taps, batch):
    layer = ShortConvolution(D, taps)
    shape = (batch, T, D)

    def tell(tape: Tape, x: Value) -> Value:
        y, behind = convolution(tape, x, batch, T, D, taps)
        tape.free(behind)
        return y

    state = layer.init_state(batch)
    assert_same(on_tape(tell, batch * T * D), in_torch(lambda x: layer(x, state)[0], shape, layer))


def test_bytes_of_an_element_are_torchs():
    dtypes = {"FLOAT32": torch.float32, "FLOAT64": torch.float64, "INT64": torch.int64, "BOOL": torch.bool}
    assert all(getattr(operations, name) == dtype.itemsize for name, dtype in dtypes.items())
