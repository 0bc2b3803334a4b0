"""The head in pieces: cross-entropy's own value and gradients, whatever the pieces, and never a batch of logits."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import cross_entropy

from isostate.model import head
from isostate.model.head import mean_loss, token_losses
from tests.tolerances import assert_agrees

ROWS, WIDTH, VOCABULARY = 61, 12, 37


def inputs(dtype=torch.float64, scale=1.0):
    generator = torch.Generator().manual_seed(0)
    x_MD = (scale * torch.randn(ROWS, WIDTH, generator=generator, dtype=torch.float64)).to(dtype)
    weight_UD = torch.randn(VOCABULARY, WIDTH, generator=generator, dtype=torch.float64).to(dtype)
    targets_M = torch.randint(0, VOCABULARY, (ROWS,), generator=generator)
    return x_MD.requires_grad_(), weight_UD.requires_grad_(), targets_M


@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("piece_rows", [16, 20, 61, 1000])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_pieces_have_the_value_and_the_gradients_of_cross_entropy(dtype, piece_rows, cap, monkeypatch):
    monkeypatch.setattr(head, "PIECE_ELEMENTS", piece_rows * VOCABULARY)
    x_MD, weight_UD, targets_M = inputs(dtype)
    logits_MU = x_MD @ weight_UD.T
    want = cross_entropy(logits_MU if cap is None else cap * torch.tanh(logits_MU / cap), targets_M)
    got = mean_loss(x_MD, weight_UD, targets_M, cap)
    assert_agrees(token_losses(x_MD, weight_UD, targets_M, cap).mean(), want.detach(), "mean of the losses")
    assert_agrees(got, want, "loss")
    # A factor on the loss, as gradient accumulation has it.
    ours = torch.autograd.grad(got / 4, (x_MD, weight_UD))
    theirs = torch.autograd.grad(want / 4, (x_MD, weight_UD))
    for name, mine, torchs in zip(("x", "weight"), ours, theirs, strict=True):
        assert_agrees(mine, torchs, f"gradient of {name}")


def test_the_loss_of_each_token_is_minus_the_log_softmax_at_its_target():
    x_MD, weight_UD, targets_M = inputs()
    losses_M = token_losses(x_MD, weight_UD, targets_M)
    wanted = -(x_MD @ weight_UD.T).softmax(-1).log()[torch.arange(ROWS), targets_M]
    assert_agrees(losses_M, wanted)
    assert_agrees(losses_M.mean(), mean_loss(x_MD, weight_UD, targets_M))
    assert not losses_M.requires_grad
    # The note sums the softmax itself, without its logarithm.
    note = -(x_MD @ weight_UD.T).softmax(-1)[torch.arange(ROWS), targets_M].mean()
    assert (losses_M.mean() - note).abs() > 1


def test_logits_of_thousands_neither_overflow_nor_lose_the_loss():
    x_MD, weight_UD, targets_M = inputs(torch.float32, scale=1e4)
    loss = mean_loss(x_MD, weight_UD, targets_M)
    assert_agrees(loss, cross_entropy(x_MD @ weight_UD.T, targets_M))
    assert all(grad.isfinite().all() for grad in torch.autograd.grad(loss, (x_MD, weight_UD)))


def test_nothing_as_large_as_the_logits_is_kept_for_the_backward(monkeypatch):
    monkeypatch.setattr(head, "PIECE_ELEMENTS", 16 * VOCABULARY)
    x_MD, weight_UD, targets_M = inputs()
    kept = []
    with saved_tensors_hooks(lambda tensor: kept.append(tensor.numel()) or tensor, lambda tensor: tensor):
        mean_loss(x_MD, weight_UD, targets_M)
    assert sorted(kept) == sorted([ROWS * WIDTH, VOCABULARY * WIDTH])
    assert max(kept) < ROWS * VOCABULARY


def test_pieces_cover_every_row_once_and_are_not_tiny():
    for vocabulary in (1, 256, 10**9):
        rows = [row for piece in head._pieces(100, vocabulary) for row in range(piece.start, piece.stop)]
        assert rows == list(range(100))
    assert head._pieces(100, 10**9)[0].stop == 16
