"""The engine as a calibration runs it: our kernel, on as many heads as it says; three gradients come back."""

from __future__ import annotations

import pytest
import torch

from isostate.costs.measured_engine import own_engine, own_engine_backward
from isostate.mixers import engine_kernel


@pytest.mark.parametrize("degree, size, positions", [(1, 8, 64), (2, 8, 100), (4, 4, 32)])
def test_it_runs_powers_of_one_degree(degree, size, positions, monkeypatch):
    asked = []
    real = engine_kernel.chunked

    def chunked(q, k, v, gate, matrix, normaliser, feature_map, chunk):
        asked.append((q.shape, feature_map.degree, len(feature_map.used_degrees), normaliser is not None))
        return real(q, k, v, gate, matrix, normaliser, feature_map, chunk)

    monkeypatch.setattr(engine_kernel, "chunked", chunked)
    work, n_heads = own_engine(degree, size, positions)
    y = work()
    assert isinstance(y, torch.Tensor)
    assert asked == [(torch.Size([n_heads // 4, 4, positions, size]), degree, 1, True)]
    assert y.shape == asked[0][0]
    back, same = own_engine_backward(degree, size, positions)
    assert same == n_heads
    assert [gradient.shape for gradient in back()] == 3 * [y.shape]
