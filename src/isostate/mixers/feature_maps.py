"""Feature maps that are polynomials of the dot product: linear, Taylor and power attention are three choices of one.

    f(q, k) = sum_i c_i (q . k)^i = phi(q) . phi(k)

    phi(x) = concatenation over i of  sqrt(c_i i! / prod_a alpha_a!)  prod_a x_a^alpha_a,   |alpha| = i

with the monomials of each degree in lexicographic order, symmetric ones once (FORMULAS section 1.2). The weights stand
apart from the monomials, so that the engine can apply them to a small state instead of to every position.

Positions come last here (`x_MKC`, `phi_MPC`): a monomial is then a product of whole rows, and gathering rows is a copy
of contiguous memory.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class PolynomialMap:
    """f(s) = sum_i coefficients[i] s^i on keys of `head_dim` elements; a coefficient is zero or positive."""

    coefficients: tuple[float, ...]
    head_dim: int

    @property
    def degree(self) -> int:
        return len(self.coefficients) - 1

    @cached_property
    def used_degrees(self) -> tuple[int, ...]:
        return tuple(degree for degree, coefficient in enumerate(self.coefficients) if coefficient)

    @cached_property
    def expanded_size(self) -> int:
        """P: sum over the used degrees i of C(K + i - 1, i)."""
        return sum(math.comb(self.head_dim + degree - 1, degree) for degree in self.used_degrees)

    @property
    def is_identity(self) -> bool:
        return self.coefficients == (0.0, 1.0)

    def similarity(self, scores_BHTS: Tensor) -> Tensor:
        """f of the dot products, whatever their shape; differentiable."""
        if len(self.used_degrees) == 1:
            return _times(_power(scores_BHTS, self.degree), self.coefficients[-1])
        value = torch.full_like(scores_BHTS, self.coefficients[-1])
        for coefficient in reversed(self.coefficients[:-1]):
            value = value * scores_BHTS + coefficient
        return value

    def similarity_and_slope(self, scores_BHTS: Tensor) -> tuple[Tensor, Tensor]:
        """f and f' of the dot products, for a backward pass written by hand."""
        if len(self.used_degrees) == 1:
            lower = _power(scores_BHTS, self.degree - 1)
            return (
                _times(lower * scores_BHTS, self.coefficients[-1]),
                _times(lower, self.degree * self.coefficients[-1]),
            )
        value, slope = torch.full_like(scores_BHTS, self.coefficients[-1]), torch.zeros_like(scores_BHTS)
        for coefficient in reversed(self.coefficients[:-1]):
            slope.mul_(scores_BHTS).add_(value)
            value.mul_(scores_BHTS).add_(coefficient)
        return value, slope

    def weights_P(self, like: Tensor) -> Tensor:
        """sqrt(c_i i! / prod alpha!) of each monomial: phi = weights * monomials."""
        return _weights(self).to(device=like.device, dtype=like.dtype)

    def monomials(self, x_MKC: Tensor) -> Tensor:
        """phi without its weights: (..., K, C) to (..., P, C); differentiable."""
        levels = self._levels(x_MKC)
        used = [levels[degree] for degree in self.used_degrees]
        return used[0] if len(used) == 1 else torch.cat(used, dim=-2)

    def monomials_backward(self, x_MKC: Tensor, grad_MPC: Tensor) -> Tensor:
        """The gradient of `monomials` for x, from that for its result: degree by degree, the highest first."""
        sizes = [math.comb(self.head_dim + degree - 1, degree) for degree in self.used_degrees]
        grads = dict(zip(self.used_degrees, grad_MPC.split(sizes, dim=-2), strict=True))
        levels = self._levels(x_MKC, up_to=self.degree - 1)
        grad_x_MKC = torch.zeros_like(x_MKC)
        for degree in range(self.degree, 1, -1):
            first, rest = _factors(self.head_dim, degree, x_MKC.device)
            grad = grads[degree]
            grad_x_MKC.index_add_(-2, first, levels[degree - 1].index_select(-2, rest).mul_(grad))
            lower = grads.get(degree - 1)
            lower = torch.zeros_like(levels[degree - 1]) if lower is None else lower.contiguous()
            grads[degree - 1] = lower.index_add_(-2, rest, x_MKC.index_select(-2, first).mul_(grad))
        return grad_x_MKC.add_(grads[1]) if 1 in grads else grad_x_MKC

    def _levels(self, x_MKC: Tensor, up_to: int | None = None) -> list[Tensor]:
        """Monomials of degree 0, 1, ..: each is one variable times a monomial of the degree below."""
        levels = [torch.ones_like(x_MKC[..., :1, :]), x_MKC]
        for degree in range(2, (self.degree if up_to is None else up_to) + 1):
            first, rest = _factors(self.head_dim, degree, x_MKC.device)
            levels.append(x_MKC.index_select(-2, first) * levels[-1].index_select(-2, rest))
        return levels


@lru_cache(maxsize=256)
def linear_map(head_dim: int) -> PolynomialMap:
    """q.k: phi is the identity."""
    return PolynomialMap((0.0, 1.0), head_dim)


@lru_cache(maxsize=256)
def power_map(degree: int, head_dim: int) -> PolynomialMap:
    """(q.k / sqrt d)^p."""
    return PolynomialMap((0.0,) * degree + (head_dim ** (-degree / 2),), head_dim)


@lru_cache(maxsize=256)
def taylor_map(order: int, head_dim: int) -> PolynomialMap:
    """sum_{i<=n} (q.k / sqrt d)^i / i!. The note's 2/k! is a mistake."""
    return PolynomialMap(
        tuple(head_dim ** (-degree / 2) / math.factorial(degree) for degree in range(order + 1)), head_dim
    )


def monomial_indices(head_dim: int, degree: int) -> list[tuple[int, ...]]:
    """Monomials of one degree as non-decreasing tuples of variables, in lexicographic order."""
    return list(itertools.combinations_with_replacement(range(head_dim), degree))


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # else a cache first filled while generating could not be used in training
def _factors(head_dim: int, degree: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Each monomial as (first variable, the rest's number among the monomials of one degree less)."""
    number_of = {rest: number for number, rest in enumerate(monomial_indices(head_dim, degree - 1))}
    monomials = monomial_indices(head_dim, degree)
    first = torch.tensor([monomial[0] for monomial in monomials], device=device)
    rest = torch.tensor([number_of[monomial[1:]] for monomial in monomials], device=device)
    return first, rest


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def _weights(feature_map: PolynomialMap) -> Tensor:
    weights = []
    for degree in feature_map.used_degrees:
        for monomial in monomial_indices(feature_map.head_dim, degree):
            repeats = math.prod(math.factorial(count) for count in Counter(monomial).values())
            weights.append(math.sqrt(feature_map.coefficients[degree] * math.factorial(degree) / repeats))
    return torch.tensor(weights, dtype=torch.float64, device="cpu")  # whatever the default device is just then


def _power(x: Tensor, exponent: int) -> Tensor:
    """x^exponent by repeated squaring: exact signs and several times faster than a general pow."""
    if exponent == 0:
        return torch.ones_like(x)
    half = _power(x, exponent // 2) if exponent > 1 else None
    if half is None:
        return x
    return half * half * x if exponent % 2 else half * half


def _times(x: Tensor, factor: float) -> Tensor:
    return x if factor == 1.0 else x * factor
