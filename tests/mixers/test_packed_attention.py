"""Attention of packed documents: the kernel equals torch's masks; what is dropped is never of another document."""

from __future__ import annotations

import pytest
import torch

from isostate.mixers import Documents, fused, native, packed_attention
from isostate.mixers.packed_attention import Sight
from isostate.mixers.softmax import KeyValueState
from tests.tolerances import assert_agrees

B, H, G, K = 2, 4, 2, 24


def inputs(length: int, carried: int, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = [(B, H, length, K), *[(B, G, length, K)] * 2, *[(B, G, carried, K)] * 2]
    return [torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes]


def packed(length: int, seed: int) -> Documents:
    generator = torch.Generator().manual_seed(seed)
    return Documents(torch.rand(B, length, generator=generator) < 5 / length, torch.tensor([length, length - 30]))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("sloped", [False, True])
@pytest.mark.parametrize(
    ("length", "carried", "window"), [(65, 0, None), (600, 100, None), (600, 9, 40), (300, 0, 290)]
)
def test_the_kernel_equals_torchs_masks(length, carried, window, sloped, dtype):
    q, k, v, *cache = leaves = [x.requires_grad_() for x in inputs(length, carried, dtype)]
    slopes_H = torch.linspace(0.01, 0.3, H, dtype=dtype) if sloped else None
    state = KeyValueState(*cache, carried, torch.tensor([0, carried // 2]) if carried else None)
    documents, sight = packed(length, 1), Sight(window)
    real_BHT1 = ~documents.padding_BT[:, None, :, None]
    dy_BHTK = torch.randn(q.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).to(dtype)

    def run():
        y_BHTK, _ = packed_attention.chunked(q, k, v, slopes_H, state, documents, sight)
        grads = torch.autograd.grad(y_BHTK * real_BHT1, leaves, dy_BHTK, allow_unused=True, materialize_grads=True)
        return y_BHTK, grads

    got, gradients = run()
    with native.torch_operations():
        want, wanted = run()
    assert_agrees(got, want, "y")
    for name, gradient, expected in zip(("q", "k", "v", "carried k", "carried v"), gradients, wanted, strict=True):
        assert_agrees(gradient, expected, f"d{name}")


def test_blocks_of_queries_change_nothing(monkeypatch):
    monkeypatch.setattr(packed_attention, "BLOCK", 24)
    q, k, v, *cache = inputs(65, 9, torch.float64)
    state, documents = KeyValueState(*cache, 9), packed(65, 3)
    for sight in (Sight(), Sight(7), Sight(7, sinks=2), Sight(cap=1.0)):
        with native.torch_operations():
            ours, _ = packed_attention.chunked(q, k, v, None, state, documents, sight)
        whole, _ = packed_attention.parallel(q, k, v, None, state, documents, sight)
        assert_agrees(ours, whole, str(sight))


@pytest.mark.parametrize("form", packed_attention.FORMS)
def test_what_is_dropped_is_of_the_same_document(form):
    torch.manual_seed(0)
    q, k, *_ = inputs(40, 0, torch.float64)
    v_BGTS = torch.eye(40, dtype=torch.float64).expand(B, G, 40, 40)
    state = KeyValueState(k[:, :, :0], v_BGTS[:, :, :0])
    documents = Documents(torch.arange(40).expand(B, -1) % 13 == 5)
    dropped, kept = (
        packed_attention.FORMS[form](q, k, v_BGTS, None, state, documents, Sight(dropout=share))[0]
        for share in (0.25, 0.0)
    )
    seen, left = kept > 0, dropped != 0
    document_T = documents.starts_BT[0].cumsum(0)
    causal_TS = torch.ones(40, 40, dtype=torch.bool).tril() & (document_T[:, None] == document_T)
    assert torch.equal(seen, causal_TS.expand_as(seen))
    assert_agrees(dropped[left], kept[left] / 0.75)
    assert (left <= seen).all()
    assert 0.15 < (dropped[seen] == 0).double().mean() < 0.35


def test_without_documents_the_kernel_keeps_no_table_of_first_keys():
    q, k, v, *_ = inputs(65, 0, torch.float32)
    counts = []
    for first_BT in (None, torch.zeros(B, 65, dtype=torch.int32)):
        kept: list[int] = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x, kept=kept: kept.append(x.numel()) or x, lambda x: x):
            fused.attention(*(x.requires_grad_() for x in (q, k, v)), None, None, first_BT)
        counts.append(len(kept))
    assert counts == [5, 6]
