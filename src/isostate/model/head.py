"""The head and its cross-entropy in cache-sized pieces: the logits of a whole batch never exist.

    loss_m = logsumexp_u(x_m . w_u) - x_m . w_target

A piece of rows makes its logits, its loss and, when training, its part of both gradients while the logits are still in
cache; backward only scales them. A plain `cross_entropy(linear(x))` writes and reads the M x U logits about six times.
A cap turns logits into cap tanh(logits / cap) (Gemma 2).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

# Elements of a piece's logits: 2^20 float32 are 4 MB. Smaller pieces lose more to the matmuls than they gain in cache.
PIECE_ELEMENTS = 2**20


def mean_loss(x_MD: Tensor, weight_UD: Tensor, targets_M: Tensor, cap: float | None = None) -> Tensor:
    """Mean cross-entropy in nats a token, differentiable for x and the weight."""
    return _MeanLoss.apply(x_MD, weight_UD, targets_M, cap)


def logits_of(x_MD: Tensor, weight_UD: Tensor, cap: float | None = None) -> Tensor:
    """logits_MU, or of as many dimensions as x has."""
    logits_MU = x_MD @ weight_UD.T
    return logits_MU if cap is None else cap * (logits_MU / cap).tanh()


def token_losses(x_MD: Tensor, weight_UD: Tensor, targets_M: Tensor, cap: float | None = None) -> Tensor:
    """losses_M in nats; for evaluation, without gradients."""
    losses_M = torch.empty(len(targets_M), dtype=x_MD.dtype, device=x_MD.device)
    with torch.no_grad():
        for rows in _pieces(len(targets_M), weight_UD.shape[0]):
            logits_MU = logits_of(x_MD[rows], weight_UD, cap)
            target_M = logits_MU.gather(1, targets_M[rows, None]).squeeze(1)
            losses_M[rows] = logits_MU.logsumexp(1) - target_M
    return losses_M


class _MeanLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x_MD, weight_UD, targets_M, cap):
        n_rows = len(targets_M)
        total = x_MD.new_zeros((), dtype=torch.float64)
        dx_MD = torch.empty_like(x_MD)
        dweight_UD = torch.zeros_like(weight_UD)
        for rows in _pieces(n_rows, weight_UD.shape[0]):
            x, targets_M1 = x_MD[rows], targets_M[rows, None]
            logits_MU = logits_of(x, weight_UD, cap)
            weights_MU = logits_MU.softmax(1)
            chance_M1 = weights_MU.gather(1, targets_M1)
            total += _losses(logits_MU, chance_M1, targets_M1).sum(dtype=torch.float64)
            # d (sum of losses) / d logits = softmax - onehot; the mean's 1 / n_rows waits for backward
            weights_MU.scatter_(1, targets_M1, chance_M1 - 1.0)
            if cap is not None:
                weights_MU.mul_(1 - (logits_MU / cap).square_())  # tanh' = 1 - tanh^2
            del logits_MU
            torch.mm(weights_MU, weight_UD, out=dx_MD[rows])
            dweight_UD.addmm_(weights_MU.T, x)
        ctx.save_for_backward(dx_MD, dweight_UD)
        return (total / n_rows).to(x_MD.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx, dloss):
        dx_MD, dweight_UD = ctx.saved_tensors
        scale = dloss / len(dx_MD)
        return dx_MD * scale, dweight_UD * scale, None, None


def _losses(logits_MU: Tensor, chance_M1: Tensor, targets_M1: Tensor) -> Tensor:
    """-log of the target's probability; from the logits where that is too small for its dtype's whole precision."""
    losses_M1 = -chance_M1.log()
    small_M = chance_M1.squeeze(1) < torch.finfo(chance_M1.dtype).tiny
    if small_M.any():
        logits_mU = logits_MU[small_M]
        losses_M1[small_M] = logits_mU.logsumexp(1, keepdim=True) - logits_mU.gather(1, targets_M1[small_M])
    return losses_M1


def piece_rows(vocab_size: int) -> int:
    """Rows of a piece."""
    return max(16, PIECE_ELEMENTS // vocab_size)


def _pieces(n_rows: int, vocab_size: int) -> list[slice]:
    size = piece_rows(vocab_size)
    return [slice(start, min(start + size, n_rows)) for start in range(0, n_rows, size)]
