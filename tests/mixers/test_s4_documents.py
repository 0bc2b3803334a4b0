"""Documents in rows of their own equal pieces one after another, for any filter whose zeros leave zeros."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers import Documents
from isostate.mixers.s4_documents import by_documents
from tests.tolerances import assert_agrees

B, T, D, R = 3, 70, 2, 2


def run(x_BTD, state_BDR):
    """h <- h / 2 + [x, 2 x]: seen before any filter of ours."""
    reads = []
    for t in range(x_BTD.shape[1]):
        state_BDR = state_BDR / 2 + torch.stack([x_BTD[:, t], 2 * x_BTD[:, t]], -1)
        reads.append(state_BDR.sum(-1))
    return torch.stack(reads, 1), state_BDR


@pytest.mark.parametrize("is_empty", [True, False])
@pytest.mark.parametrize("lengths", [None, [70, 0, 41]])
def test_rows_of_their_own_equal_pieces(lengths, is_empty):
    generator = torch.Generator().manual_seed(0)
    x_BTD = torch.randn(B, T, D, generator=generator, dtype=torch.float64, requires_grad=True)
    state_BDR = torch.randn(B, D, R, generator=generator, dtype=torch.float64) * (not is_empty)
    starts_BT = torch.zeros(B, T, dtype=torch.bool)
    starts_BT[0, [0, 1, 16, 17, 40]] = starts_BT[2, [3, 35, 69]] = True
    documents = Documents(starts_BT, None if lengths is None else torch.tensor(lengths))
    want_BTD, want_BDR = documents.by_pieces(run, x_BTD, state_BDR)
    want_BTD = documents.cleared(want_BTD)
    got_BTD, got_BDR = by_documents(run, x_BTD, state_BDR, documents)
    assert_agrees(got_BTD, want_BTD, "y")
    assert_agrees(got_BDR, want_BDR, "state")
    weight_BTD = torch.randn(B, T, D, generator=generator, dtype=torch.float64)
    gradients = [
        torch.autograd.grad((y * weight_BTD).sum() + state.square().sum(), x_BTD)[0]
        for y, state in ((got_BTD, got_BDR), (want_BTD, want_BDR))
    ]
    assert_agrees(*gradients)


def test_there_is_one_call_a_length_and_none_for_rows_that_are_empty():
    calls = []

    def counted(x_BTD, state_BDR):
        calls.append(tuple(x_BTD.shape[:2]))
        return run(x_BTD, state_BDR)

    starts_BT = torch.arange(T).expand(B, -1) % 20 == 0
    by_documents(counted, torch.randn(B, T, D), torch.zeros(B, D, R), Documents(starts_BT))
    assert calls == [(3, 16), (9, 32)], "documents of 20, 20, 20 and 10 in each of three rows"
