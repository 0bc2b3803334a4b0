"""The mixers that every test over the registry runs: a row a config, at least one a kind in MIXERS.

Sizes are small and odd on purpose: chunks that divide no length, fewer key-value heads than heads, windows below, at
and above the lengths of the tests (1, 7, 64, 65, 257).
"""

from __future__ import annotations

from isostate.mixers import MixerConfig
from isostate.mixers.linear import LinearConfig
from isostate.mixers.mamba import MambaConfig
from isostate.mixers.mamba2 import Mamba2Config
from isostate.mixers.power import PowerConfig
from isostate.mixers.s4 import S4Config
from isostate.mixers.softmax import SoftmaxConfig
from isostate.mixers.taylor import TaylorConfig
from isostate.mixers.window import WindowConfig

CASES: list[MixerConfig] = [
    SoftmaxConfig(d_model=16, n_heads=4),
    SoftmaxConfig(d_model=16, n_heads=4, n_kv_heads=2, positions="rotary", rotary={"base": 500.0}),
    SoftmaxConfig(d_model=16, n_heads=4, n_kv_heads=1, positions="alibi"),
    SoftmaxConfig(d_model=16, n_heads=4, positions="alibi"),
    SoftmaxConfig(d_model=10, n_heads=3, head_dim=4, positions="rotary", qk_norm="rms", score_cap=1.5),
    WindowConfig(d_model=16, n_heads=2, window=1),
    WindowConfig(
        d_model=16, n_heads=4, n_kv_heads=2, window=7, positions="alibi", qk_norm="rms", sinks=2, score_cap=1.0
    ),
    WindowConfig(d_model=16, n_heads=4, n_kv_heads=1, window=40, positions="rotary", sinks=3),
    WindowConfig(d_model=16, n_heads=2, window=64, positions="alibi"),
    WindowConfig(d_model=16, n_heads=2, window=300),
    LinearConfig(d_model=16, n_heads=2, chunk=16),
    LinearConfig(d_model=16, n_heads=1, phi="elu+1", positions="alibi", chunk=5),
    LinearConfig(d_model=15, n_heads=3, phi="softplus", gate="head", decay="retention", qk_norm="rms"),
    LinearConfig(d_model=16, n_heads=2, phi="identity", normaliser="none", positions="rotary", gate="head", chunk=12),
    TaylorConfig(d_model=16, n_heads=4, order=2, chunk=16),
    TaylorConfig(d_model=16, n_heads=4, order=2, positions="rotary", gate="head", qk_norm="rms", chunk=7),
    TaylorConfig(d_model=12, n_heads=4, order=4, positions="alibi", chunk=24),
    TaylorConfig(d_model=12, n_heads=2, order=3, normaliser="none", chunk=24),
    PowerConfig(d_model=16, n_heads=2, degree=2, chunk=16),
    PowerConfig(d_model=16, n_heads=4, degree=2, positions="rotary", gate="head", qk_norm="rms"),
    PowerConfig(d_model=16, n_heads=2, degree=2, positions="alibi", gate="head", chunk=300),
    PowerConfig(d_model=12, n_heads=3, degree=4, positions="alibi", chunk=11),
    PowerConfig(d_model=12, n_heads=3, degree=6, gate="head", chunk=16),
    PowerConfig(d_model=9, n_heads=3, degree=3, normaliser="none", positions="alibi", chunk=16),
    Mamba2Config(d_model=8, n_heads=4, d_state=5, chunk=16),
    Mamba2Config(d_model=12, n_heads=6, d_state=3, n_groups=3, conv_taps=3, step_limits=(0.01, 0.4), chunk=12),
    MambaConfig(d_model=10, d_state=5),
    MambaConfig(d_model=36, expand=1, d_state=3, dt_rank=5, conv_taps=2, conv_bias=False),
    S4Config(d_model=10, d_state=6, chunk=16),
    S4Config(d_model=9, d_state=5, start="real", discretisation="bilinear", chunk=13),
]


def name_of(config: MixerConfig) -> str:
    """What tells a case from the others, for a test's id."""
    other = {"positions": "none", "qk_norm": "none"}
    marks = [value for key, value in config.to_dict().items() if key in other and value != other[key]]
    knob = [] if config.knob is None else [f"{config.knob}={config.knob_value}"]
    return "/".join([config.family, *marks, *knob])
