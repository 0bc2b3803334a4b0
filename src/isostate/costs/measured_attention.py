"""How a calibration runs attention: torch's fused kernel, causal or with a bias, and our own."""

from __future__ import annotations

import torch
from torch import Tensor

from isostate.costs.pools import Work, fresh
from isostate.mixers import fused


def _n_heads(queries: int, keys: int, size: int) -> int:
    return 4 * max(1, min(8, 2**22 // (queries * keys * size)))


def _heads(n_heads: int, positions: int, size: int) -> Tensor:
    """As they leave a projection: (batch, 4, positions, size), a row of heads after another in memory."""
    return torch.linspace(-1, 1, n_heads * positions * size).view(n_heads // 4, positions, 4, size).transpose(1, 2)


def attention(pool: int, positions: int, size: int) -> tuple[Work, int]:
    """Torch's fused kernel, causal: the work, and its heads."""
    n_heads = _n_heads(positions, positions, size)
    q = k = v = _heads(n_heads, positions, size)
    attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return fresh(lambda: attend(q, k, v, 0.0, True)[0], pool, q.numel()), n_heads


def attention_backward(pool: int, positions: int, size: int) -> tuple[Work, int]:
    """Its three gradients."""
    n_heads = _n_heads(positions, positions, size)
    q = k = v = _heads(n_heads, positions, size)
    y, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True)
    back = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    return fresh(lambda: back(y, q, k, v, y, lse, 0.0, True)[0], pool, q.numel()), n_heads


def _masked(queries: int, keys: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys that serve as values too, and a bias that hides the future."""
    n_heads = _n_heads(queries, keys, size)
    hidden = torch.ones(1, 4, queries, keys).triu(keys - queries + 1)
    return _heads(n_heads, queries, size), _heads(n_heads, keys, size), -1e9 * hidden


def masked_attention(pool: int, queries: int, keys: int, size: int) -> tuple[Work, int]:
    """Torch's fused kernel with a bias."""
    q, k, bias = _masked(queries, keys, size)
    attend = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    return fresh(lambda: attend(q, k, k, 0.0, False, attn_mask=bias)[0], pool, q.numel()), 4 * len(q)


def masked_attention_backward(pool: int, queries: int, keys: int, size: int) -> tuple[Work, int]:
    """Its three gradients."""
    q, k, bias = _masked(queries, keys, size)
    y, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, k, 0.0, False, attn_mask=bias)
    back = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward
    return fresh(lambda: back(y, q, k, k, y, lse, 0.0, False, attn_mask=bias)[0], pool, q.numel()), 4 * len(q)


def _own_heads(positions: int, keys: int, size: int) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values; so many heads that the way to the kernel does not count."""
    n_heads = 4 * max(1, min(64, 2**22 // (positions * keys * size)))
    q, k, v = (_heads(n_heads, positions, size).detach().requires_grad_() for _ in range(3))
    return q, k, v


def own_attention(positions: int, size: int) -> tuple[Work, int]:
    """Our kernel, causal."""
    return own_window_attention(positions, positions, size)


def own_attention_backward(positions: int, size: int) -> tuple[Work, int]:
    """Its three gradients."""
    return own_window_attention_backward(positions, positions, size)


def own_window_attention(positions: int, window: int, size: int) -> tuple[Work, int]:
    """Our kernel, within a window."""
    inputs = _own_heads(positions, min(positions, window), size)
    return lambda: fused.attention(*inputs, None, window), 4 * len(inputs[0])


def own_window_attention_backward(positions: int, window: int, size: int) -> tuple[Work, int]:
    """Its three gradients."""
    inputs = _own_heads(positions, min(positions, window), size)
    y = fused.attention(*inputs, None, window)
    grad = torch.ones_like(y)
    return lambda: torch.autograd.grad(y, inputs, grad, retain_graph=True), 4 * len(inputs[0])


WAYS = 8  # to our kernel, one after another: what autograd itself takes to begin is not the kernel's


def _ways(x: Tensor) -> Tensor:
    y = x
    for _ in range(WAYS):
        y = fused.attention(y, x, x, None)
    return y


def own_call() -> tuple[Work, int]:
    """Python's way to our kernel, which has next to nothing to do."""
    x = torch.ones(1, 1, 1, 8, requires_grad=True)
    return lambda: _ways(x), WAYS


def own_call_backward() -> tuple[Work, int]:
    """The way back."""
    x = torch.ones(1, 1, 1, 8, requires_grad=True)
    y = _ways(x)
    grad = torch.ones_like(y)
    return lambda: torch.autograd.grad(y, x, grad, retain_graph=True), WAYS
