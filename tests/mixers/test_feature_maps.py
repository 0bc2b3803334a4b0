"""Feature maps: phi(q) . phi(k) is the polynomial it claims, in the layout and of the size that FORMULAS 1.2 gives."""

from __future__ import annotations

import math

import pytest
import torch

from isostate.mixers.feature_maps import PolynomialMap, linear_map, monomial_indices, power_map, taylor_map
from tests.tolerances import assert_agrees

MAPS = [
    linear_map(5),
    power_map(2, 4),
    power_map(3, 3),
    power_map(4, 4),
    power_map(6, 3),
    power_map(2, 1),
    taylor_map(1, 4),
    taylor_map(2, 4),
    taylor_map(4, 3),
    PolynomialMap((0.5, 0.0, 2.0, 1.0), 3),
]
every_map = pytest.mark.parametrize("feature_map", MAPS, ids=lambda m: f"degree{m.degree}-size{m.head_dim}")


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def phi(feature_map: PolynomialMap, x_MKC: torch.Tensor) -> torch.Tensor:
    return feature_map.weights_P(x_MKC)[:, None] * feature_map.monomials(x_MKC)


@every_map
def test_dot_products_of_features_are_the_polynomial_of_dot_products(feature_map):
    q_MKC, k_MKC = normal(2, feature_map.head_dim, 7), normal(2, feature_map.head_dim, 7, seed=1)
    scores = (q_MKC * k_MKC).sum(-2)
    wanted = sum(c * scores**i for i, c in enumerate(feature_map.coefficients))
    assert_agrees((phi(feature_map, q_MKC) * phi(feature_map, k_MKC)).sum(-2), wanted, "features")
    assert_agrees(feature_map.similarity(scores), wanted, "similarity")


@every_map
def test_the_slope_is_the_derivative_of_the_similarity(feature_map):
    scores = normal(3, 4).requires_grad_()
    similarity = feature_map.similarity(scores)
    (wanted,) = torch.autograd.grad(similarity.sum(), scores) if similarity.requires_grad else (None,)
    value, slope = feature_map.similarity_and_slope(scores.detach())
    assert_agrees(value, similarity.detach(), "value")
    assert_agrees(slope, wanted, "slope")


@every_map
def test_the_hand_written_backward_is_that_of_the_monomials(feature_map):
    x_MKC = normal(2, feature_map.head_dim, 5).requires_grad_()
    monomials_MPC = feature_map.monomials(x_MKC)
    assert monomials_MPC.shape == (2, feature_map.expanded_size, 5)
    grad_MPC = normal(*monomials_MPC.shape, seed=2)
    (wanted,) = torch.autograd.grad((monomials_MPC * grad_MPC).sum(), x_MKC)
    before = grad_MPC.clone()
    assert_agrees(feature_map.monomials_backward(x_MKC.detach(), grad_MPC), wanted)
    assert torch.equal(grad_MPC, before), "the caller's gradient is not written to"


def test_monomials_come_in_lexicographic_order_each_once():
    assert monomial_indices(3, 2) == [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    x_MKC = torch.tensor([2.0, 3.0, 5.0]).view(1, 3, 1)
    assert power_map(2, 3).monomials(x_MKC).flatten().tolist() == [4, 6, 10, 9, 15, 25]
    assert power_map(3, 2).monomials(x_MKC[:, :2]).flatten().tolist() == [8, 12, 18, 27]


def test_weights_are_square_roots_of_multinomial_coefficients():
    weights_P = power_map(4, 2).weights_P(torch.zeros((), dtype=torch.float64))
    scale = 2.0**-2  # (q.k / sqrt 2)^4 is (q.k)^4 / 4
    assert_agrees(weights_P, (torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=torch.float64) * scale).sqrt())


@pytest.mark.parametrize(
    "size, degree, published",
    [(4, 2, 10), (8, 2, 36), (16, 2, 136), (32, 2, 528), (64, 2, 2080), (64, 3, 45_760), (64, 4, 766_480)],
)
def test_symmetric_powers_have_the_published_sizes(size, degree, published):
    assert power_map(degree, size).expanded_size == published
    assert published not in {size**degree, math.comb(size + degree, degree)}, "all products; all degrees up to p"
    if degree == 2:
        assert published == size * (size + 1) // 2 != size * (size + 1), "the wrong D (d + 1)"
    if published < 3000:
        assert len(monomial_indices(size, degree)) == published


@pytest.mark.parametrize("size, published", [(16, 153), (64, 2145)])
def test_taylor_maps_have_the_published_sizes(size, published):
    assert taylor_map(2, size).expanded_size == published == math.comb(size + 2, 2)


def test_taylor_is_the_exponential_cut_off_and_not_the_notes():
    scores = torch.linspace(-0.4, 0.4, 9, dtype=torch.float64)
    size = 16
    exact = (scores / size**0.5).exp()
    largest = 0.1
    for order in (1, 2, 3, 4):
        error = (taylor_map(order, size).similarity(scores) - exact).abs().max()
        assert error < 1.1 * largest ** (order + 1) / math.factorial(order + 1)
    note = sum(2 / math.factorial(i) * (scores / size**0.5) ** i for i in range(3))
    assert (note - exact).abs().min() > 0.5, "the note's 2/k! doubles it"
    assert taylor_map(2, 16).coefficients == (1.0, 0.25, 1 / 32)


def test_used_degrees_alone_count():
    assert power_map(2, 8).used_degrees == (2,)
    assert taylor_map(2, 8).used_degrees == (0, 1, 2)
    assert linear_map(8).is_identity
    assert not power_map(2, 8).is_identity


def test_a_map_first_used_under_another_default_device_is_the_same():
    feature_map = power_map(2, 7)  # a size that no other test uses: weights and indices are cached
    with torch.device("meta"):
        weights_P = feature_map.weights_P(torch.zeros(3, device="cpu"))
        assert feature_map.monomials(torch.zeros(1, 7, 2)).device.type == "meta"
    assert weights_P.device.type == "cpu"
    assert phi(feature_map, torch.ones(1, 7, 1)).square().sum().item() == pytest.approx(7)  # (q.k / sqrt 7)^2
