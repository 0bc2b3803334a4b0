"""Our attention kernel equals attention that holds every score: values and every gradient, in both precisions."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers import fused, native
from isostate.mixers.softmax import attend_densely
from tests.tolerances import assert_agrees

# B, H, G, T, S, K, window: one query, head sizes that fill no vector, several tiles of keys, a past, a window within a
# tile and across tiles.
PROBLEMS = [
    (1, 1, 1, 1, 1, 1, None),
    (2, 2, 2, 7, 9, 3, 2),
    (2, 4, 2, 65, 65, 24, None),
    (1, 4, 2, 257, 300, 7, None),
    (2, 4, 1, 130, 130, 32, 16),
    (1, 2, 2, 600, 700, 64, 300),
    (1, 1, 1, 40, 600, 256, 2),
]


def inputs(problem: tuple, dtype: torch.dtype) -> list[torch.Tensor]:
    B, H, G, T, S, K, _ = problem
    generator = torch.Generator().manual_seed(0)
    shapes = [(B, H, T, K), (B, G, S, K), (B, G, S, K), (B, H, T, K)]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sloped", [False, True])
@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_kernel_equals_attention_that_holds_every_score(problem, sloped, dtype):
    *leaves, dy_BHTK = inputs(problem, dtype)
    slopes_H = torch.linspace(0.01, 2.0, problem[1], dtype=dtype) if sloped else None
    for x in leaves:
        x.requires_grad_()
    assert fused.fuses(*leaves, 0.0)
    got = fused.attention(*leaves, slopes_H, problem[-1])
    want = attend_densely(*leaves, slopes_H, problem[-1])
    assert_agrees(got, want, "y")
    pairs = zip(torch.autograd.grad(got, leaves, dy_BHTK), torch.autograd.grad(want, leaves, dy_BHTK), strict=True)
    scale = dy_BHTK.abs().max().item()
    for name, (gradient, expected) in zip("qkv", pairs, strict=True):
        if expected.abs().max() > 1e-9 * scale:
            assert_agrees(gradient, expected, f"d{name}")
        else:  # a single key takes all the weight, whatever the query
            assert gradient.abs().max() < 1e-9 * scale


def test_scores_far_apart_neither_overflow_nor_lose_the_largest():
    q_BHTK = torch.full((1, 1, 3, 8), 100.0)
    k_BHTK = torch.tensor([-100.0, 0.0, 100.0]).view(1, 1, 3, 1).expand(1, 1, 3, 8).contiguous()
    v_BHTK = torch.arange(24.0).view(1, 1, 3, 8)
    assert torch.equal(fused.attention(q_BHTK, k_BHTK, v_BHTK, None), v_BHTK)


def test_bits_do_not_depend_on_the_number_of_threads():
    q, k, v, dy = inputs((3, 4, 2, 300, 300, 24, None), torch.float32)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            leaves = [x.clone().requires_grad_() for x in (q, k, v)]
            y = fused.attention(*leaves, None)
            results.append([y, *torch.autograd.grad(y, leaves, dy)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_it_keeps_five_tensors_and_no_score():
    q, k, v, _ = inputs((2, 4, 4, 512, 512, 16, None), torch.float32)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        fused.attention(*(x.requires_grad_() for x in (q, k, v)), None)
    assert sorted(kept) == [2 * 4 * 512] + 4 * [2 * 4 * 512 * 16]


def test_what_it_does_not_do_is_left_to_torch():
    q, k, v, _ = inputs((1, 2, 2, 4, 4, 8, None), torch.float32)
    assert fused.fuses(q, k, v, 0.0)
    assert not fused.fuses(q, k, v, 0.1), "it drops nothing"
    assert not fused.fuses(q.bfloat16(), k.bfloat16(), v.bfloat16(), 0.0)
    assert not fused.fuses(q.to("meta"), k.to("meta"), v.to("meta"), 0.0)
    assert not fused.fuses(q, k, v[..., :4], 0.0), "values as long as keys"
    wide = q.new_empty(1, 2, 4, 257)
    assert not fused.fuses(wide, wide, wide, 0.0)
    with native.torch_operations():
        assert not fused.fuses(q, k, v, 0.0)
    assert fused.fuses(q, k, v, 0.0)
