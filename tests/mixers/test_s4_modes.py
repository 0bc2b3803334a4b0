"""The filters by their own backward equal autograd through the definition; exact where phases turn far."""

from __future__ import annotations

import math

import pytest
import torch

from isostate.mixers.s4_modes import Modes, discretised, filters, swapped, turn_of
from tests.mixers.runs import assert_equal_results

WIDTH, MODES, CHUNK, LAST = 4, 3, 7, 5


def parameters(in_pairs: bool) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    leaves = {"log_dt": normal(WIDTH) - 2, "A_log": normal(WIDTH, MODES)}
    leaves |= {"A_imag": 5 * normal(WIDTH, MODES)} if in_pairs else {}
    leaves |= {"C": normal(WIDTH, MODES, 1 + in_pairs)}
    return {name: leaf.requires_grad_() for name, leaf in leaves.items()}


def by_definition(modes: Modes) -> dict[str, torch.Tensor]:
    """From powers by repeated products, in plain complex numbers."""
    log_decay, write, read = discretised(modes)
    in_pairs, powers = modes.A_imag_DR is not None, [torch.ones_like(log_decay)]
    for _ in range(CHUNK):
        powers.append(powers[-1] * log_decay.exp())

    def stacked(x: torch.Tensor, sign: int) -> torch.Tensor:
        return torch.cat([x.real, sign * x.imag], 1) if in_pairs else x.real

    double = 1 + in_pairs
    return {
        "kernel": torch.stack([double * (read * write * power).sum(1).real for power in powers[:CHUNK]], -1),
        "writes": torch.stack([stacked(write * power, 1) for power in reversed(powers[:CHUNK])], -1),
        "reads": torch.stack([double * stacked(read * power, -1) for power in powers[1:]], -1),
        "turns": torch.stack([*turn_of(powers[CHUNK], in_pairs), *turn_of(powers[LAST], in_pairs)]),
    }


@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
@pytest.mark.parametrize("in_pairs", [True, False])
def test_filters_and_every_gradient_are_those_of_the_definition(in_pairs, discretisation):
    leaves = parameters(in_pairs)
    modes = Modes(leaves["log_dt"], leaves["A_log"], leaves.get("A_imag"), leaves["C"], discretisation)
    made = filters(modes, CHUNK, LAST, torch.float64)
    results = []
    for values in (dict(zip(("kernel", "writes", "reads", "turns"), made, strict=True)), by_definition(modes)):
        generator = torch.Generator().manual_seed(1)
        loss = sum((torch.randn(v.shape, generator=generator).to(v) * v).sum() for v in values.values())
        results.append((values, dict(zip(leaves, torch.autograd.grad(loss, list(leaves.values())), strict=True))))
    assert_equal_results(*results, "filters")


def test_a_turn_is_a_complex_product_in_real_numbers():
    decay, h = (torch.randn(WIDTH, MODES, dtype=torch.complex128) for _ in range(2))
    same, cross = turn_of(decay, True)
    stacked = torch.cat([h.real, h.imag], 1)
    turned = same * stacked + cross * swapped(stacked)
    assert torch.allclose(turned, torch.cat([(decay * h).real, (decay * h).imag], 1), rtol=1e-14)


def test_a_bilinear_step_of_a_slow_mode_is_its_exponential_to_third_order():
    log_dt, A_log = torch.full((1,), math.log(0.01), dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    decays = [
        discretised(Modes(log_dt, A_log, A_log + 2, torch.ones(1, 1, 2), name))[0].exp() for name in ("zoh", "bilinear")
    ]
    step = 0.01 * abs(complex(-1, 2))
    assert 0 < (decays[0] - decays[1]).abs().item() < step**3
