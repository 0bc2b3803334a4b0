"""The engine's three functions, directly: extreme gates, high powers, any state; memory without phi of the sequence."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from isostate.mixers.chunks import Layout
from isostate.mixers.feature_maps import linear_map, power_map, taylor_map
from isostate.mixers.recurrence import MatrixState, best_chunk, chunked, parallel, recurrent
from tests.mixers.runs import assert_equal_results
from tests.tolerances import assert_agrees

B, H, T, K, V = 2, 3, 65, 4, 5
LOG_GATES = {
    "none": None,
    "a hair below 1": -1e-9,
    "0.999": -1e-3,
    "a half": -0.7,
    "near 0": -35.0,
    "as good as 0": -800.0,  # exp underflows in float64
}
NAMES = ("q", "k", "v", "log gate", "matrix", "normaliser")


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def inputs(feature_map, log_gate, length=T, start="random"):
    """q, k, v, log gates that vary about the given one, and a state, as leaves; keys lean towards queries.

    Leaning keeps every sum of weights away from zero, where no form of a high power has digits left.
    """
    q_BHTK = normal(B, H, length, K, seed=0)
    k_BHTK = q_BHTK + 0.5 * normal(B, H, length, K, seed=1)
    v_BHTV = normal(B, H, length, V, seed=2)
    gates_BHT = None if log_gate is None else log_gate * (0.5 + normal(B, H, length, seed=3).sigmoid())
    phi_BHPS = feature_map.monomials(normal(B, H, K, 30, seed=4)) * feature_map.weights_P(q_BHTK)[:, None]
    matrix_BHPV, normaliser_BHP = phi_BHPS @ normal(B, H, 30, V, seed=5), phi_BHPS.sum(-1)
    if start == "empty":
        matrix_BHPV, normaliser_BHP = torch.zeros_like(matrix_BHPV), torch.zeros_like(normaliser_BHP)
    leaves = (q_BHTK, k_BHTK, v_BHTV, gates_BHT, matrix_BHPV, normaliser_BHP)
    return tuple(None if leaf is None else leaf.requires_grad_() for leaf in leaves)


def run(form, leaves, feature_map, chunk=None):
    """(values, gradients) by name, of a random weighting of everything that comes out."""
    q_BHTK, k_BHTK, v_BHTV, gates_BHT, matrix_BHPV, normaliser_BHP = leaves
    y_BHTV, state = form(
        q_BHTK, k_BHTK, v_BHTV, gates_BHT, MatrixState(matrix_BHPV, normaliser_BHP), feature_map, chunk
    )
    values = {"y": y_BHTV, "matrix": state.matrix_BHPV, "normaliser": state.normaliser_BHP}
    loss = sum((normal(*v.shape, seed=6) * v).sum() for v in values.values())
    wanted = {name: leaf for name, leaf in zip(NAMES, leaves, strict=True) if leaf is not None}
    return values, dict(zip(wanted, torch.autograd.grad(loss, list(wanted.values())), strict=True))


@pytest.mark.parametrize("log_gate", LOG_GATES.values(), ids=LOG_GATES)
@pytest.mark.parametrize(
    "feature_map",
    [taylor_map(2, K), power_map(2, K), power_map(4, K), power_map(6, K)],
    ids=["taylor-2", "power-2", "power-4", "power-6"],
)
def test_forms_agree_whatever_the_gates_and_the_power(feature_map, log_gate):
    for start in ("empty", "random"):
        leaves = inputs(feature_map, log_gate, start=start)
        definition = run(recurrent, leaves, feature_map)
        assert_equal_results(run(parallel, leaves, feature_map), definition, f"parallel, {start}")
        for chunk in (1, 16, 65, 128):
            assert_equal_results(run(chunked, leaves, feature_map, chunk), definition, f"chunks of {chunk}, {start}")


def test_the_definition_is_the_equation():
    feature_map = power_map(2, K)
    q, k, v, log_gate, state, sums = (leaf.detach() for leaf in inputs(feature_map, -0.7, length=9))
    y_BHTV, after = recurrent(q, k, v, log_gate, MatrixState(state, sums), feature_map)
    weights_P = feature_map.weights_P(q)
    for t in range(9):
        phi_q, phi_k = (feature_map.monomials(x[:, :, t, :, None])[..., 0] * weights_P for x in (q, k))
        gate = log_gate[:, :, t].exp()
        state = gate[..., None, None] * state + phi_k[..., :, None] * v[:, :, t, None, :]
        sums = gate[..., None] * sums + phi_k
        read = torch.einsum("bhp,bhpv->bhv", phi_q, state) / (phi_q * sums).sum(-1, keepdim=True)
        assert_agrees(y_BHTV[:, :, t], read, f"position {t}")
    assert_agrees(after.matrix_BHPV, state, "matrix")
    assert_agrees(after.normaliser_BHP, sums, "normaliser")


def test_the_gate_at_a_position_acts_on_what_came_before_it_and_not_on_its_own_key():
    feature_map = linear_map(K)
    q, k, v, _, _, _ = (leaf if leaf is None else leaf.detach() for leaf in inputs(feature_map, None, length=3))
    log_gate = torch.tensor([-800.0, -0.5, -800.0]).double().expand(B, H, 3)
    zero = torch.zeros(B, H, K, V, dtype=torch.float64)
    for form in (recurrent, parallel, chunked):
        y_BHTV, _ = form(q, k, v, log_gate, MatrixState(zero, None), feature_map, 2)
        own = [(q[:, :, t] * k[:, :, t]).sum(-1, keepdim=True) * v[:, :, t] for t in range(3)]
        before = (q[:, :, 1] * k[:, :, 0]).sum(-1, keepdim=True) * v[:, :, 0]
        wanted = torch.stack([own[0], own[1] + torch.tensor(-0.5).double().exp() * before, own[2]], dim=2)
        assert_agrees(y_BHTV, wanted, form.__name__)


def test_a_key_that_meets_no_query_gives_zero_and_not_nan():
    feature_map = power_map(2, K)
    q_BHTK = torch.zeros(B, H, 3, K, dtype=torch.float64)
    for form in (recurrent, parallel, chunked):
        empty = MatrixState(torch.zeros(B, H, 10, V).double(), torch.zeros(B, H, 10).double())
        y_BHTV, _ = form(q_BHTK, q_BHTK + 1, torch.ones(B, H, 3, V).double(), None, empty, feature_map)
        assert torch.equal(y_BHTV, torch.zeros_like(y_BHTV)), form.__name__


def test_long_sequences_with_hard_gates_stay_finite_in_float32():
    feature_map = power_map(4, K)
    q, k, v, log_gate, matrix, sums = (x.detach().float() for x in inputs(feature_map, -20.0, length=2000))
    leaves = [x.requires_grad_() for x in (q, k, v, log_gate, matrix, sums)]
    y_BHTV, state = chunked(*leaves[:4], MatrixState(*leaves[4:]), feature_map)
    (y_BHTV.sum() + state.matrix_BHPV.sum()).backward()
    assert all(x.isfinite().all() for x in (y_BHTV, *state.tensors(), *(leaf.grad for leaf in leaves)))


def saved_elements(form, feature_map, length: int, chunk: int) -> int:
    """Elements that one call keeps for its backward, every storage once, the caller's own inputs not counted."""
    leaves = inputs(feature_map, -0.01, length=length)
    given = {leaf.untyped_storage().data_ptr() for leaf in leaves}
    kept = {}

    def keep(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in given:
            kept[storage.data_ptr()] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        form(*leaves[:4], MatrixState(*leaves[4:]), feature_map, chunk)
    return sum(storage.nbytes() for storage in kept.values()) // 8


def test_backward_keeps_one_state_a_chunk_and_no_phi_of_the_sequence():
    feature_map, chunk = power_map(4, K), 32  # P = 35, far above K + V
    P = feature_map.expanded_size
    once, twice, thrice = (saved_elements(chunked, feature_map, n * 256, chunk) for n in (1, 2, 3))
    assert thrice - twice == twice - once, "memory grows linearly"
    a_position = (twice - once) / (B * H * 256)
    # v' and the reading, each with the sum's column, the divided reading; and a state a chunk.
    assert a_position <= 3 * (V + 1) + P * (V + 1) / chunk
    assert a_position < P, "phi of one sequence alone would be P a position"
    whole = [saved_elements(parallel, feature_map, n * 256, chunk) for n in (1, 2)]
    assert (whole[1] - whole[0]) / (B * H * 256) > 2 * P, "the parallel form does keep them"


def test_a_chunk_fits_the_context_and_grows_with_the_state():
    chunks = [best_chunk(power_map(2, size), size + 1, 4096) for size in (4, 16, 64)]
    assert chunks == sorted(chunks)
    assert chunks[0] < chunks[-1]
    assert best_chunk(power_map(2, 32), 33, 7) <= 7
    assert best_chunk(linear_map(1), 1, 1) == 1


def test_chunks_taken_in_groups_cover_the_sequence_once():
    layout = Layout.of(torch.zeros(8, 8, 1000, 16), torch.zeros(8, 8, 1000, 17), power_map(4, 16), 32)
    covered = [n for n0, n1 in layout.groups() for n in range(n0, n1)]
    assert covered == list(range(layout.N)) == list(range(32))
    assert len(layout.groups()) > 1
