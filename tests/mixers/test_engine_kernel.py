"""The chunked form's kernel: equal to the definition in float64 in every corner, to torch's chunked form, to itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from isostate.mixers import engine_kernel, recurrence
from isostate.mixers.engine_kernel import Shares
from isostate.mixers.feature_maps import PolynomialMap, linear_map, power_map, taylor_map
from isostate.mixers.native import torch_operations
from isostate.mixers.recurrence import MatrixState
from tests.mixers.runs import assert_equal_results
from tests.tolerances import relative_error

FORGET = -750.0
QUADRATIC = power_map(2, 5)


@dataclass(frozen=True)
class Case:
    feature_map: PolynomialMap = QUADRATIC
    B: int = 2
    G: int = 2
    H: int = 2
    T: int = 37
    V: int = 4
    chunk: int = 16
    gate: float | str | None = -0.5  # about which they vary; "fixed": by head; "resets": some forget everything
    normalised: bool = True
    given: bool = True  # the state before
    keeps_last: bool = True  # a gradient of the last state arrives
    threads: int = 2


CASES = {
    "power-2": Case(),
    "power-2 in whole vectors": Case(power_map(2, 16), V=32, T=64, chunk=32),
    "power-2, odd sizes": Case(power_map(2, 17), V=33, T=50, chunk=20, given=False, keeps_last=False),
    "power-2, no gates": Case(gate=None, given=False, keeps_last=False),
    "power-2, one position": Case(T=1),
    "power-2, one position from nothing": Case(T=1, given=False, gate=None),
    "power-2, fixed decays": Case(gate="fixed"),
    "power-2, resets": Case(gate="resets", keeps_last=False),
    "power-2, not normalised": Case(normalised=False),
    "power-3": Case(power_map(3, 4), normalised=False),
    "power-4": Case(power_map(4, 3), V=7),
    "power-6, gates near zero": Case(power_map(6, 2), gate=-35.0),
    "taylor-2": Case(taylor_map(2, 5), V=6),
    "taylor-4, no gates": Case(taylor_map(4, 3), gate=None, keeps_last=False),
    "linear": Case(linear_map(8), normalised=False, G=3, H=3),
    "linear of one": Case(linear_map(1), normalised=False, V=1),
    "linear, gates a hair below 1": Case(linear_map(7), normalised=False, gate=-1e-9, given=False),
    "linear, resets": Case(linear_map(6), normalised=False, gate="resets"),
    "linear, groups": Case(linear_map(5), normalised=False, G=2, H=6, threads=3),
    "linear, one group in parts": Case(linear_map(5), normalised=False, B=1, G=1, H=4, threads=4),
    "power-2, groups": Case(G=1, H=3, T=50, threads=1),
    "segments": Case(B=1, G=1, H=1, T=150, threads=3),
    "segments from nothing": Case(taylor_map(2, 4), B=1, G=1, H=1, T=97, threads=2, given=False, keeps_last=False),
    "segments, groups, resets": Case(linear_map(3), B=1, G=1, H=2, T=90, threads=6, gate="resets", normalised=False),
}
NAMES = ("q", "k", "v", "log gate", "matrix", "normaliser")


def inputs(case: Case, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor | None, ...]:
    """Leaves as in NAMES; heads lie innermost, as projections leave them, and keys lean towards queries."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    B, G, H, T, K = case.B, case.G, case.H, case.T, case.feature_map.head_dim
    q_BTGK, v_BTHV = normal(B, T, G, K), normal(B, T, H, case.V)
    k_BTGK = q_BTGK + 0.5 * normal(B, T, G, K)
    gates = None
    if case.gate == "fixed":
        gates = -normal(1, H, 1).exp()
    elif case.gate == "resets":
        gates = torch.where(normal(B, H, T) > 1, FORGET, -0.1)
    elif case.gate is not None:
        gates = float(case.gate) * (0.5 + normal(B, H, T).sigmoid())
    phi_BHPS = case.feature_map.monomials(normal(B, H, K, 9)) * case.feature_map.weights_P(q_BTGK)[:, None]
    phi_BHPS = phi_BHPS * case.given
    matrix, sums = phi_BHPS @ normal(B, H, 9, case.V), phi_BHPS.sum(-1)
    rows = [x.transpose(1, 2) for x in (q_BTGK, k_BTGK, v_BTHV)]
    leaves = (*rows, gates, matrix, sums if case.normalised else None)
    wanted = [case.given or name not in NAMES[4:] for name in NAMES]
    return tuple(
        None if x is None else x.to(dtype).detach().requires_grad_(w) for x, w in zip(leaves, wanted, strict=True)
    )


def run(form, case: Case, leaves) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """(values, gradients) by name, of a random weighting of y and, where the case says so, of the last state."""
    torch.set_num_threads(case.threads)
    q, k, v, gates, matrix, sums = leaves
    if form is not recurrence.chunked or case.H == case.G or not engine_kernel.serves(q):
        q, k = (x.repeat_interleave(case.H // case.G, dim=1) for x in (q, k))
    y, state = form(q, k, v, gates, MatrixState(matrix, sums), case.feature_map, case.chunk)
    values = {"y": y, "matrix": state.matrix_BHPV}
    values |= {"normaliser": state.normaliser_BHP} if case.normalised else {}
    generator = torch.Generator().manual_seed(1)
    weighted = [
        (torch.randn(x.shape, generator=generator, dtype=torch.float64).to(x.dtype) * x).sum()
        for x in list(values.values())[: None if case.keeps_last else 1]
    ]
    wanted = {name: leaf for name, leaf in zip(NAMES, leaves, strict=True) if leaf is not None and leaf.requires_grad}
    return values, dict(zip(wanted, torch.autograd.grad(sum(weighted), list(wanted.values())), strict=True))


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_it_equals_the_definition_and_torchs_chunks(case):
    leaves = inputs(case)
    by_kernel = run(recurrence.chunked, case, leaves)
    assert_equal_results(by_kernel, run(recurrence.recurrent, case, leaves), "definition")
    with torch_operations():
        assert_equal_results(by_kernel, run(recurrence.chunked, case, leaves), "torch")


@pytest.mark.parametrize("name", ["power-2", "power-2, odd sizes", "linear, groups", "taylor-2", "segments", "power-4"])
def test_single_precision_is_close(name):
    case = CASES[name]
    exact, single = (run(recurrence.chunked, case, inputs(case, dtype)) for dtype in (torch.float64, torch.float32))
    for wanted, got in zip(exact, single, strict=True):
        for key, value in got.items():
            assert value.dtype == torch.float32
            assert relative_error(value, wanted[key]) < 2e-5, key


@pytest.mark.parametrize("name", ["power-2, odd sizes", "linear, one group in parts", "segments"])
def test_the_same_inputs_give_the_same_bits(name):
    leaves = inputs(CASES[name], torch.float32)
    first = run(recurrence.chunked, CASES[name], leaves)
    for _ in range(3):
        again = run(recurrence.chunked, CASES[name], leaves)
        for one, other in zip(first, again, strict=True):
            assert all(torch.equal(value, other[key]) for key, value in one.items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gate", [FORGET, -1e30, -torch.inf])
def test_what_is_forgotten_weighs_exactly_nothing(dtype, gate):
    """Of two documents in one row, parted by a gate, neither moves the other's results by a bit."""
    case = replace(CASES["power-2"], T=40, given=False, keeps_last=False)
    q, k, v, gates, matrix, sums = inputs(case, dtype)
    cut = 22
    gates = gates.detach().clone()
    gates[:, :, cut] = gate
    gates.requires_grad_()

    def results(scale):
        factor = torch.ones(case.T, 1, dtype=dtype)
        factor[:cut] = scale
        leaves = (
            q,
            (k * factor).detach().requires_grad_(),
            (v * factor).detach().requires_grad_(),
            gates,
            matrix,
            sums,
        )
        values, gradients = run(recurrence.chunked, case, leaves)
        assert all(x.isfinite().all() for x in (*values.values(), *gradients.values()))
        assert not gradients["log gate"][:, :, cut].any(), "a gate that is zero has no slope"
        after = [values["y"], *(gradients[name] for name in ("q", "k", "v", "log gate"))]
        return [values["matrix"], *(x[:, :, cut + 1 :] for x in after)]

    for one, other in zip(results(1.0), results(3.0), strict=True):
        assert torch.equal(one, other)


def test_a_gate_that_is_not_a_number_is_seen():
    q, k, v, gates, matrix, sums = inputs(replace(CASES["power-2"], given=False), torch.float32)
    gates = gates.detach()
    gates[0, 0, 20] = torch.nan
    y, _ = recurrence.chunked(q, k, v, gates, MatrixState(matrix, sums), power_map(2, 5), 16)
    assert y[0, 0, 21].isnan().all()
    assert y[1].isfinite().all()


def kept_elements(case: Case) -> int:
    """That one call keeps for its backward, each storage once, inputs aside."""
    leaves = inputs(case, torch.float32)
    own = {x.untyped_storage().data_ptr() for x in leaves if x is not None}
    kept = {}

    def pack(x):
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes() // 4
        return x

    q, k, v, gates, matrix, sums = leaves
    with saved_tensors_hooks(pack, lambda x: x):
        recurrence.chunked(q, k, v, gates, MatrixState(matrix, sums), case.feature_map, case.chunk)
    return sum(size for address, size in kept.items() if address not in own)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("normalised", [False, True])
def test_it_keeps_states_between_chunks_what_it_read_and_what_that_was_divided_by(normalised, given):
    case = Case(T=64, chunk=16, gate=None, normalised=normalised, given=given)
    rows, P = case.B * case.H, case.feature_map.expanded_size
    state = rows * P * (case.V + normalised)
    read = rows * case.T * (case.V + 1) if normalised else 0
    assert kept_elements(case) == (3 + given) * state + engine_kernel.PAST_THE_END + read
    assert kept_elements(replace(case, gate=-0.5)) == kept_elements(case) + (
        0 if normalised else rows * case.T * case.V
    )


def test_scratch_grows_with_the_chunk_and_the_threads_and_not_with_the_sequence():
    sizes = [engine_kernel.scratch_elements(power_map(2, 16), 16, chunk, torch.float32) for chunk in (32, 64, 128)]
    assert all(forward < backward for forward, backward in sizes)
    assert sizes[0][0] < sizes[1][0] < sizes[2][0] < 8 * sizes[0][0]


def test_work_is_divided_evenly_and_sequences_only_where_heads_are_few():
    assert Shares.of(8, 1, 16, threads=2) == Shares(parts=1, segments=1)
    assert Shares.of(2, 4, 16, threads=2) == Shares(parts=1, segments=1)
    assert Shares.of(1, 4, 16, threads=2) == Shares(parts=2, segments=1)
    assert Shares.of(1, 3, 16, threads=2) == Shares(parts=3, segments=1)
    assert Shares.of(1, 1, 16, threads=3) == Shares(parts=1, segments=3)
    assert Shares.of(1, 1, 1, threads=3) == Shares(parts=1, segments=1), "one chunk is not divided"


def test_it_serves_processors_in_single_and_double_precision_where_all_agree():
    x = torch.zeros(1)
    assert engine_kernel.serves(x, None, x)
    assert engine_kernel.serves(x.double(), x.double())
    assert not engine_kernel.serves(x, x.double())
    assert not engine_kernel.serves(x.bfloat16())
    assert not engine_kernel.serves(x.to("meta"))
    assert not engine_kernel.serves(x[:0])
    with torch_operations():
        assert not engine_kernel.serves(x)
    assert engine_kernel.serves(x)
