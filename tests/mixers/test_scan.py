"""The selective scan's three functions, in torch and by the kernel: any sizes and decays, memory without states."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor

from isostate.costs.counting import kept_bytes, peak_allocated_bytes
from isostate.mixers import scan, scan_kernel
from isostate.mixers.scan import CHUNK, chunked, parallel, recurrent
from tests.mixers.runs import assert_equal_results
from tests.tolerances import assert_agrees

B = 2
NAMES = ("x", "dt", "A", "B", "C", "D", "state")
# Length, channels, states: a vector's lanes and states taken at once are divided and not, units are one and more.
SIZES = [(1, 1, 1), (63, 5, 3), (64, 16, 4), (65, 64, 7), (130, 65, 2), (257, 40, 5)]
STEPS = {"next to none": 1e-9, "small": 1e-2, "large": 3.0, "so large that decays are as good as 0": 500.0}


def normal(*shape: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def inputs(length: int, channels: int, states: int, step: float = 0.1, dtype: torch.dtype = torch.float64):
    """x, dt, A, B, C, D and a state, as leaves; B and C are parts of one projection, as Mamba's are."""
    projected = normal(B, length, 3 + 2 * states, seed=3, dtype=dtype)
    leaves = (
        normal(B, length, channels, seed=0, dtype=dtype),
        step * (0.1 + normal(B, length, channels, seed=1, dtype=dtype).sigmoid()),
        -normal(channels, states, seed=2, dtype=dtype).exp(),
        projected[..., 3 : 3 + states],
        projected[..., 3 + states :],
        normal(channels, seed=4, dtype=dtype),
        normal(B, channels, states, seed=5, dtype=dtype),
    )
    return tuple(leaf.detach().requires_grad_() for leaf in leaves)


def run(form, leaves, loss_of: str = "y state"):
    """(values, gradients) by name, of a random weighting of what is named."""
    values = dict(zip(("y", "state"), form(*leaves), strict=True))
    loss = sum((normal(*v.shape, seed=6).to(v) * v).sum() for name, v in values.items() if name in loss_of)
    grads = torch.autograd.grad(loss, leaves, allow_unused=True, materialize_grads=True)
    return values, dict(zip(NAMES, grads, strict=True))


@pytest.fixture(params=["kernel", "torch"])
def chunks_run(request, monkeypatch) -> str:
    """The chunked form by the kernel, which every machine of ours can build, and in torch."""
    if request.param == "torch":
        monkeypatch.setattr(scan_kernel, "serves", lambda like: False)
    else:
        assert scan_kernel.serves(torch.zeros(1))
    return request.param


def test_the_definition_is_the_equation():
    x, dt, A, write, read, skip, state = (leaf.detach() for leaf in inputs(9, 5, 3))
    y_BTI, after = recurrent(x, dt, A, write, read, skip, state)
    for b in range(B):
        for i in range(5):
            h = state[b, i].tolist()
            for t in range(9):
                step, value = dt[b, t, i].item(), x[b, t, i].item()
                h = [math.exp(step * A[i, r].item()) * h[r] + step * write[b, t, r].item() * value for r in range(3)]
                y = sum(read[b, t, r].item() * h[r] for r in range(3)) + skip[i].item() * value
                assert y_BTI[b, t, i].item() == pytest.approx(y, rel=1e-12)
            assert after[b, i].tolist() == pytest.approx(h, rel=1e-12)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_forms_agree_at_any_sizes(sizes, chunks_run):
    leaves = inputs(*sizes)
    definition = run(recurrent, leaves)
    assert_equal_results(run(parallel, leaves), definition, "parallel")
    assert_equal_results(run(chunked, leaves), definition, "chunked")


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_forms_agree_whatever_the_decays(step, chunks_run):
    leaves = inputs(100, 20, 3, step)
    definition = run(recurrent, leaves)
    assert_equal_results(run(parallel, leaves), definition, "parallel")
    assert_equal_results(run(chunked, leaves), definition, "chunked")


@pytest.mark.parametrize("loss_of", ["y", "state"])
def test_gradients_agree_where_only_outputs_or_only_the_last_state_matter(loss_of, chunks_run):
    leaves = inputs(70, 20, 3)
    assert_equal_results(run(chunked, leaves, loss_of), run(recurrent, leaves, loss_of), loss_of)


def test_float32_stays_within_the_table(chunks_run):
    leaves = inputs(130, 40, 16, dtype=torch.float32)
    exact = tuple(leaf.detach().double().requires_grad_() for leaf in leaves)
    assert_equal_results(run(chunked, leaves), run(recurrent, exact), "float32")


def test_without_gradients_only_the_last_state_is_made(chunks_run):
    leaves = inputs(3 * CHUNK + 5, 20, 4)
    with torch.no_grad():
        y_BTI, state_BIR = chunked(*leaves)
    wanted_BTI, last_BIR = chunked(*leaves)
    assert torch.equal(y_BTI, wanted_BTI)
    assert torch.equal(state_BIR, last_BIR)


@pytest.mark.parametrize(("dtype", "least"), [(torch.float64, -700.0), (torch.float32, -80.0)], ids=str)
def test_the_kernels_exponential_errs_by_the_rounding_of_its_exponent(dtype, least):
    """States of 1 that are written nothing and read by 1: y is the decay."""
    exponents_B1I = torch.linspace(least, -least / 10, 32_000, dtype=torch.float64).to(dtype).view(500, 1, 64)
    ones_B1R = torch.ones(500, 1, 1, dtype=dtype)
    states_BIR = torch.ones(500, 64, 1, dtype=dtype)
    nothing_I = torch.zeros(64, dtype=dtype)
    y_B1I, _ = chunked(
        0 * exponents_B1I + 1, exponents_B1I, states_BIR[0], 0 * ones_B1R, ones_B1R, nothing_I, states_BIR
    )
    wanted = exponents_B1I.double().exp()
    error = (y_B1I.double() - wanted).abs() / wanted
    assert (error <= (3 + exponents_B1I.double().abs()) * torch.finfo(dtype).eps).all()


def test_what_is_not_a_number_stays_visible():
    leaves = [leaf.detach().clone() for leaf in inputs(80, 20, 3)]
    leaves[1][0, 70, 7] = torch.nan
    y_BTI, state_BIR = chunked(*leaves)
    assert y_BTI[0, 70:, 7].isnan().all()
    assert state_BIR[0, 7].isnan().all()
    assert y_BTI.isnan().sum() == 10


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_bits_depend_neither_on_the_threads_nor_on_the_run(n_threads):
    leaves = inputs(150, 150, 5, dtype=torch.float32)
    values, grads = run(chunked, leaves)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(n_threads)
        again, grads_again = run(chunked, leaves)
    finally:
        torch.set_num_threads(before)
    for name, value in {**values, **grads}.items():
        assert torch.equal(value, {**again, **grads_again}[name]), name


def test_any_layout_of_the_inputs_gives_the_same():
    leaves = inputs(70, 20, 3)
    definition = run(recurrent, leaves)
    others = [leaf.detach().transpose(0, -1).contiguous().transpose(0, -1) for leaf in leaves]
    others[3] = leaves[3].detach().contiguous()  # and B in other rows than C
    assert not others[0].is_contiguous()
    assert_equal_results(run(chunked, [x.requires_grad_() for x in others]), definition, "transposed")


CHANNELS, STATES = 128, 16


def test_memory_grows_with_positions_times_channels_and_not_times_states():
    """Per position forward and backward, in elements: y, dx, ddt; dB and dC by unit and summed; states by chunk."""
    n_units = CHANNELS // scan_kernel.CHANNELS
    predicted = 3 * CHANNELS + 2 * STATES * (n_units + 1) + CHANNELS * STATES / CHUNK
    for form in (chunked, parallel):
        peaks, step = [], 4 * CHUNK if form is chunked else 32
        for length in (step, 2 * step, 3 * step):
            leaves = inputs(length, CHANNELS, STATES, dtype=torch.float32)
            dy_BTI = normal(B, length, CHANNELS, seed=6, dtype=torch.float32)
            peaks.append(
                peak_allocated_bytes(lambda leaves=leaves, dy=dy_BTI, form=form: form(*leaves)[0].backward(dy))
            )
        slopes = [(b - a) / (step * B * 4) for a, b in itertools.pairwise(peaks)]
        if form is chunked:
            assert slopes == pytest.approx([predicted] * 2, rel=0.1)
        else:
            assert min(slopes) > CHANNELS * STATES > 3 * predicted


def test_the_backward_keeps_one_state_a_chunk():
    leaves = inputs(10 * CHUNK, CHANNELS, STATES, dtype=torch.float32)
    kept = kept_bytes(leaves, lambda: chunked(*leaves)[0])
    assert kept == 4 * B * 11 * CHANNELS * STATES


def test_the_chunk_is_no_part_of_the_function(chunks_run, monkeypatch):
    leaves = inputs(70, 20, 3)
    definition = run(recurrent, leaves)
    for chunk in (1, 13, CHUNK):
        monkeypatch.setattr(scan, "CHUNK", chunk)
        assert_equal_results(run(chunked, leaves), definition, f"chunks of {chunk}")


def test_one_state_of_one_channel_is_read_after_it_is_written():
    one = torch.ones(1, 1, 1, dtype=torch.float64)
    for form in (recurrent, parallel, chunked):
        y, state = form(3 * one, one, -one[0], 5 * one, 7 * one, 0 * one[0, 0], 11 * one)
        assert_agrees(state, 11 * (-one).exp() + 15)
        assert_agrees(y, 7 * state)
