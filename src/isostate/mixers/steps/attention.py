"""A decode step of softmax and of window attention: keys and values in a cache of a fixed number of slots.

Softmax keeps position t in slot t, up to `context` of them. A window keeps its sinks, then its last w positions in a
ring: what is summed does not depend on the order, and distances are counted from the position that each slot holds.
"""

from __future__ import annotations

from functools import partial
from typing import cast

import torch
from torch import Tensor

from isostate.config import UserError
from isostate.mixers.contract import Mixer
from isostate.mixers.projections import alibi_slopes
from isostate.mixers.softmax import AttentionConfig, KeyValueState
from isostate.mixers.steps.contract import Call, Position, scalar
from isostate.mixers.steps.qkv import QKVStep
from isostate.mixers.window import WindowConfig


class AttentionStep(QKVStep):
    """`k_BGSK` and `v_BGSV` are the cache; a slot that holds nothing yet is never read."""

    def __init__(self, mixer: Mixer, x_BD: Tensor, y_BD: Tensor, position: Position) -> None:
        config = cast(AttentionConfig, mixer.config)
        self.sinks, self.ring = 0, self._ring(config, position)
        if isinstance(config, WindowConfig):
            self.sinks = config.sinks
        batch, slots = x_BD.shape[0], self.sinks + self.ring
        self.k_BGSK = x_BD.new_empty(batch, config.n_kv_heads, slots, config.head_dim)
        self.v_BGSV = torch.empty_like(self.k_BGSK)
        self.scores_S = x_BD.new_empty(batch * config.n_heads * slots)
        self.slopes_H1: Tensor | None = None
        if config.positions == "alibi":
            self.slopes_H1 = alibi_slopes(config.n_heads, x_BD.dtype, x_BD.device).view(config.n_kv_heads, -1, 1)
            self.times_S = torch.zeros(slots, dtype=torch.float64, device=x_BD.device)
            self.exact_S, self.distance_S = torch.empty_like(self.times_S), x_BD.new_empty(slots)
        self.scale = scalar(config.head_dim**-0.5 / (config.score_cap or 1.0), x_BD)  # of what tanh is taken
        self.cap = None if config.score_cap is None else scalar(config.score_cap, x_BD)
        super().__init__(mixer, x_BD, y_BD, position)

    @staticmethod
    def _ring(config: AttentionConfig, position: Position) -> int:
        if isinstance(config, WindowConfig):
            return config.window
        if position.context is None:
            raise UserError("context: a softmax layer keeps every position; say how many there may be")
        return position.context

    def attend(self) -> list[Call]:
        """Queries of one key-value head side by side, scaled."""
        batch, n_key_heads, _, size = self.k_BGSK.shape
        self.scaled_BHK = self.q_BHK.new_empty(self.q_BHK.shape)
        self.q_MHK = self.scaled_BHK.view(batch * n_key_heads, -1, size)
        self.read_MHV = self.read_BHV.view(batch * n_key_heads, -1, size)
        self.k_MSK, self.v_MSV = self.k_BGSK.flatten(0, 1), self.v_BGSV.flatten(0, 1)
        return [partial(torch.mul, self.q_BHK, self.scale, out=self.scaled_BHK), self._write, self._read]

    def _slot(self, time: int) -> int:
        return time if time < self.sinks else self.sinks + (time - self.sinks) % self.ring

    def _write(self) -> None:
        now = self.position.now
        slot = self._slot(now)
        self.k_BGSK[:, :, slot].copy_(self.k_BGK)
        self.v_BGSV[:, :, slot].copy_(self.v_BGV)
        if self.slopes_H1 is not None:
            self.times_S[slot].fill_(now)

    def _read(self) -> None:
        held = min(self.position.now + 1, self.k_MSK.shape[1])
        rows, heads = self.q_MHK.shape[:2]
        scores_MHS = self.scores_S[: rows * heads * held].view(rows, heads, held)
        torch.bmm(self.q_MHK, self.k_MSK[:, :held].mT, out=scores_MHS)
        if self.cap is not None:
            scores_MHS.tanh_().mul_(self.cap)
        if self.slopes_H1 is not None:
            torch.sub(self.position.at, self.times_S[:held], out=self.exact_S[:held])
            distance_S = self.distance_S[:held].copy_(self.exact_S[:held])
            by_head = scores_MHS.view(-1, *self.slopes_H1.shape[:2], held)
            by_head.addcmul_(self.slopes_H1, distance_S, value=-1)
        torch._softmax(scores_MHS, -1, False, out=scores_MHS)
        torch.bmm(scores_MHS, self.v_MSV[:, :held], out=self.read_MHV)

    def load(self, state: KeyValueState) -> None:
        position, held = state.position, state.k_BGSK.shape[2]
        assert isinstance(position, int), "the caller refuses sequences at several positions"
        slots = self._slots(position, held)
        self.k_BGSK.index_copy_(2, slots, state.k_BGSK)
        self.v_BGSV.index_copy_(2, slots, state.v_BGSV)
        if self.slopes_H1 is not None:
            times = self._times(position, held)
            self.times_S.index_copy_(0, slots, torch.tensor(times, dtype=torch.float64, device=slots.device))

    def state(self) -> KeyValueState:
        now = self.position.now
        slots = self._slots(now, min(now, self.k_BGSK.shape[2]))
        return KeyValueState(self.k_BGSK.index_select(2, slots), self.v_BGSV.index_select(2, slots), now)

    def _times(self, position: int, held: int) -> list[int]:
        """Positions that a cache of `held` holds, the sinks' first."""
        first = min(self.sinks, held)
        return [*range(first), *range(position - (held - first), position)]

    def _slots(self, position: int, held: int) -> Tensor:
        times = self._times(position, held)
        if len(times) > self.k_BGSK.shape[2]:
            raise UserError(
                f"a state of {held} positions: this decoder keeps {self.k_BGSK.shape[2]}; make one of a larger context"
            )
        return torch.tensor([self._slot(time) for time in times], dtype=torch.long, device=self.k_BGSK.device)
