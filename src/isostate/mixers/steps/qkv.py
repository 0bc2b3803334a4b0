"""What the steps of query-key-value mixers share: projections in and out, QK-norm, rotary positions."""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor

from isostate.mixers.contract import Mixer
from isostate.mixers.normalisation import EPS
from isostate.mixers.projections import QKVMixer
from isostate.mixers.rotary import PLAIN
from isostate.mixers.steps.contract import Call, MixerStep, Position
from isostate.mixers.steps.operations import project, rms_norm


class QKVStep(MixerStep):
    """Abstract. Queries and keys of a position stand side by side, heads_BHK: H of queries, then G of keys.

    A final class's `attend` gives the calls from q_BHK, k_BGK, v_BGV and gate_BH to read_BHV.
    """

    def __init__(self, mixer: Mixer, x_BD: Tensor, y_BD: Tensor, position: Position) -> None:
        super().__init__(mixer, x_BD, y_BD, position)
        qkv = cast(QKVMixer, mixer)
        config, widths = qkv.config, qkv.widths
        batch, n_heads, n_key_heads = x_BD.shape[0], config.n_heads, config.n_key_heads
        joined_BD = x_BD.new_empty(batch, sum(widths))
        self.read_BHV = x_BD.new_empty(batch, n_heads, config.head_dim)
        self.v_BGV = joined_BD[:, widths[0] + widths[1] :][:, : widths[2]].unflatten(1, (n_key_heads, -1))
        self.gate_BH = joined_BD[:, sum(widths[:3]) :]
        heads_BHK = joined_BD[:, : widths[0] + widths[1]].unflatten(1, (n_heads + n_key_heads, -1))
        calls = project(x_BD, qkv.in_proj, joined_BD)
        if config.qk_norm == "rms":
            heads_BHK, more = self._normed(heads_BHK, qkv)
            calls += more
        heads_BHK, more = self.mapped(heads_BHK)
        calls += more
        if config.positions == "rotary":
            heads_BHK, more = self._turned(heads_BHK)
            calls += more
        self.q_BHK, self.k_BGK = heads_BHK[:, :n_heads], heads_BHK[:, n_heads:]
        self.calls = [*calls, *self.attend(), *project(self.read_BHV.flatten(1), qkv.out_proj, y_BD)]

    def attend(self) -> list[Call]:
        """Fills read_BHV and changes the state."""
        raise NotImplementedError

    def mapped(self, heads_BHK: Tensor) -> tuple[Tensor, list[Call]]:
        """Queries and keys after an elementwise map, where the family has one; no family that has one turns them."""
        return heads_BHK, []

    def _normed(self, heads_BHK: Tensor, qkv: QKVMixer) -> tuple[Tensor, list[Call]]:
        config = qkv.config
        gains = [qkv.q_gain.expand(config.n_heads, -1), qkv.k_gain.expand(config.n_key_heads, -1)]
        normed_BHK = heads_BHK.new_empty(heads_BHK.shape)
        calls: list[Call] = []
        for given_HK, normed_HK in zip(heads_BHK, normed_BHK, strict=True):  # sequences lie apart in what is projected
            calls += rms_norm(given_HK, torch.cat(gains), EPS, normed_HK)
        return normed_BHK, calls

    def _turned(self, heads_BHK: Tensor) -> tuple[Tensor, list[Call]]:
        size = heads_BHK.shape[-1]
        cos_K, sin_K = self.position.rotation(cast(QKVMixer, self.mixer).config.rotary or PLAIN, size)
        turned_BHK = heads_BHK.new_empty(heads_BHK.shape)
        first, second = heads_BHK.split(size // 2, dim=-1)
        turned_first, turned_second = turned_BHK.split(size // 2, dim=-1)
        return turned_BHK, [
            partial(torch.mul, first, cos_K, out=turned_first),
            partial(turned_first.addcmul_, second, sin_K, value=-1),
            partial(torch.mul, second, cos_K, out=turned_second),
            partial(turned_second.addcmul_, first, sin_K),
        ]
