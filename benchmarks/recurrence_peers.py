"""What `recurrences.py` runs against each other: functions of q, k, v and log gates by position, x_BTHK, to y_BTHV.

FLA's and retention's packages import Triton, which no CPU has: their files of plain torch are loaded without them.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import types
from pathlib import Path

import torch
from torch.nn.functional import pad, scaled_dot_product_attention, softplus

from isostate.mixers.feature_maps import linear_map, power_map
from isostate.mixers.recurrence import MatrixState, chunked

PEERS = Path(__file__).parents[1] / "build" / "peers"
VERSIONS = ("flash-linear-attention==0.6.0", "fla-core==0.6.0", "retention==1.0.7", "einops==0.8.2")
RETENTION_CHUNK = 128
MAMBA2_CHUNK = 256  # transformers' own default


def ours(feature_map, normalised=False):
    def run(q, k, v, log_gate=None):
        B, _, H, V = v.shape
        matrix = torch.zeros(B, H, feature_map.expanded_size, V)
        empty = MatrixState(matrix, matrix[..., 0] if normalised else None)
        gate = None if log_gate is None else log_gate.transpose(1, 2)
        y, _ = chunked(*(x.transpose(1, 2) for x in (q, k, v)), gate, empty, feature_map)
        return y.transpose(1, 2)

    return run


def our_mamba2(x, dt, A_log, B, C, D, dt_bias):
    """As in `mixers/mamba2.py`, between the convolution and the norm."""
    step = softplus(dt + dt_bias)
    empty = MatrixState(torch.zeros(x.shape[0], x.shape[2], B.shape[-1], x.shape[-1]), None)
    q, k, v = (one.transpose(1, 2) for one in (C, B, x * step.unsqueeze(-1)))
    y, _ = chunked(q, k, v, (step * -A_log.exp()).transpose(1, 2), empty, linear_map(B.shape[-1]))
    return x * D.unsqueeze(-1) + y.transpose(1, 2)


def transformers_mamba2(x, dt, A_log, B, C, D, dt_bias):
    from transformers.models.mamba2.modeling_mamba2 import mamba2_chunk_scan

    options = {"D": D, "dt_bias": dt_bias, "dt_softplus": True}
    return mamba2_chunk_scan(x, dt, -A_log.exp(), B, C, MAMBA2_CHUNK, **options)


def sdpa(q, k, v, log_gate=None):
    y = scaled_dot_product_attention(*(x.transpose(1, 2) for x in (q, k, v)), is_causal=True)
    return y.transpose(1, 2)


def fla_linear(q, k, v, log_gate=None):
    return _fla("linear_attn").naive_chunk_linear_attn(q, k, v, scale=1.0)


def fla_gated(q, k, v, log_gate):
    return _fla("simple_gla").naive_chunk_simple_gla(q, k, v, log_gate, scale=1.0)[0]


def fla_power(q, k, v, log_gate):
    """On phi, the sum of the weights as one more value."""
    feature_map = power_map(2, q.shape[-1])
    weights = feature_map.weights_P(q)
    phi_q, phi_k = (feature_map.monomials(x.mT).mT * weights for x in (q, k))
    read = fla_gated(phi_q, phi_k, pad(v, (0, 1), value=1.0), log_gate)
    return read[..., :-1] / read[..., -1:]


def retention_chunked(q, k, v, log_gate):
    return _retention()(q, k, v, log_gate, deg=2, chunk_size=RETENTION_CHUNK)


def retention_quadratic(q, k, v, log_gate):
    return _retention()(q, k, v, log_gate, deg=2)


def _fla(name):
    sys.path.insert(0, str(PEERS))  # einops
    full = f"fla_{name}_naive"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, PEERS / "fla" / "ops" / name / "naive.py")
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])
    return sys.modules[full]


def _retention():
    """`retention.reference`, whose packages' own `__init__` would import Triton."""
    if "retention" not in sys.modules:
        sys.path.insert(0, str(PEERS))
        for name in ("retention", *(f"retention.{part}" for part in PARTS)):
            package = types.ModuleType(name)
            package.__path__ = [str(PEERS.joinpath(*name.split(".")))]
            sys.modules[name] = package
    return importlib.import_module("retention.reference").power_retention


PARTS = ("_attention", "_update_state", "_discumsum", "_query_state")
