"""The configurations that counting is held against: every mixer, every option of a block, and the edges of both.

`ALL` maps a name to (model, batch, context). Contexts divide no chunk, or do; one is a single token.
"""

from __future__ import annotations

from typing import NamedTuple

import torch

from isostate.costs.tape.attention_kernel import runs_attention
from isostate.mixers import MixerConfig
from isostate.mixers.linear import LinearConfig
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.mamba2 import Mamba2Config
from isostate.mixers.power import PowerConfig
from isostate.mixers.softmax import AttentionConfig, SoftmaxConfig
from isostate.model import Decoder, ModelConfig
from tests.mixers.cases import CASES, name_of
from tests.model.options import OPTIONS, STACKS, config_of


class Case(NamedTuple):
    """One configuration."""

    config: ModelConfig
    batch: int
    context: int

    @property
    def chunked(self) -> bool:
        return any(mixer.kind not in ("softmax", "window") for mixer in self.config.mixers)

    def model(self, dtype: torch.dtype = torch.float32) -> Decoder:
        return Decoder(self.config).to(dtype)

    def tokens(self) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.randint(self.config.vocab_size, (self.batch, self.context), generator=generator)


GATED_POWER = PowerConfig(d_model=16, n_heads=2, degree=2, gate="head", positions="alibi", chunk=16)
GROUPED = SoftmaxConfig(d_model=16, n_heads=4, n_kv_heads=2, positions="rotary", qk_norm="rms", attention_dropout=0.1)
EDGES = {
    "one sequence": Case(config_of(CASES[1]), 1, 31),
    "one sequence, dropped weights": Case(config_of(GROUPED, **OPTIONS["everything"]), 1, 31),
    "one sequence of the engine": Case(config_of(GATED_POWER, **OPTIONS["everything"]), 1, 31),
    "one token": Case(config_of(CASES[4], **OPTIONS["everything"]), 3, 1),
    "one token of the engine": Case(config_of(CASES[19], **OPTIONS["everything, parallel"]), 3, 1),
    "one head": Case(config_of(SoftmaxConfig(d_model=16, n_heads=1, attention_dropout=0.1)), 2, 40),
    "one head of the engine": Case(config_of(LinearConfig(d_model=16, n_heads=1, chunk=16, gate="head")), 2, 40),
    "one layer": Case(config_of(CASES[0], n_layers=1), 2, 40),
    "many layers": Case(config_of(GATED_POWER, n_layers=5, conv_taps=2), 2, 40),
    "a vocabulary in pieces": Case(config_of(CASES[0], vocab_size=40_000), 2, 40),
    "a stack": Case(config_of(STACKS["two"]), 2, 40),
    "a stack, everything": Case(config_of(STACKS["four"], n_layers=4, **OPTIONS["everything"]), 3, 50),
    "narrow heads": Case(config_of(PowerConfig(d_model=16, n_heads=16, degree=4, chunk=16)), 2, 40),
}


def _all() -> dict[str, Case]:
    cases = {}
    for number, mixer in enumerate(CASES):
        batch, context = [(3, 50), (2, 128)][number % 2]
        cases[name_of(mixer)] = Case(config_of(mixer, conv_taps=4 * (number % 3 == 0)), batch, context)
        if isinstance(mixer, AttentionConfig):
            dropping = mixer.model_copy(update={"attention_dropout": 0.1})
            cases[name_of(mixer) + "/dropped"] = Case(config_of(dropping, dropout=0.1), batch, context)
    for number, (name, changes) in enumerate(OPTIONS.items()):
        batch, context = [(2, 128), (3, 50)][number % 2]
        cases[f"{name}, softmax"] = Case(config_of(GROUPED, **changes), batch, context)
        cases[f"{name}, power"] = Case(config_of(GATED_POWER, **changes), batch, context)
    return cases | EDGES


ALL = _all()


def _runs_own(mixer: MixerConfig) -> bool:
    if isinstance(mixer, AttentionConfig):
        return runs_attention(mixer, "own", 4)
    return isinstance(mixer, (LinearFamilyConfig, Mamba2Config))


# Those that a kernel of ours runs, where it serves, and torch another way.
FUSED = {name: case for name, case in ALL.items() if any(map(_runs_own, case.config.mixers))}
assert len(ALL) >= 60, "the issue asks for sixty"
