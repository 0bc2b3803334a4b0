"""Positions cut into chunks, for the engine's chunked form: sizes, padding, groups, scans, decays inside chunks."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from isostate.mixers.feature_maps import PolynomialMap

# Elements of phi that the chunked form holds at once: 2^20 float32 are 4 MB, which stay in the last cache level.
GROUP_ELEMENTS = 2**20


@dataclass(frozen=True)
class Layout:
    """Sizes of one call and the reshapings between positions and padded chunks."""

    B: int
    H: int
    T: int
    P: int
    V: int
    chunk: int

    @staticmethod
    def of(q_BHTK: Tensor, v_BHTV: Tensor, feature_map: PolynomialMap, chunk: int) -> Layout:
        B, H, T, _ = q_BHTK.shape
        return Layout(B, H, T, feature_map.expanded_size, v_BHTV.shape[-1], chunk)

    @property
    def N(self) -> int:
        return -(-self.T // self.chunk)

    def groups(self) -> list[tuple[int, int]]:
        """Ranges of chunks whose phi are held at once."""
        per_chunk = self.B * self.H * self.chunk * max(self.P, self.chunk)
        size = max(1, GROUP_ELEMENTS // per_chunk)
        return [(n, min(n + size, self.N)) for n in range(0, self.N, size)]

    def chunks(self, x_BHTV: Tensor) -> Tensor:
        """(B, H, T, V) to (B, H, N, C, V). Padding is zero, and so is v' there: padded keys weigh nothing."""
        missing = self.N * self.chunk - self.T
        x_BHTV = pad(x_BHTV, (0, 0, 0, missing)) if missing else x_BHTV
        return x_BHTV.reshape(self.B, self.H, self.N, self.chunk, -1)

    def rows(self, x_BHTK: Tensor) -> Tensor:
        """(B, H, T, K) to (B, H, N, K, C), positions last."""
        return self.chunks(x_BHTK).mT.contiguous()

    def positions(self, x_BHNCV: Tensor) -> Tensor:
        return x_BHNCV.flatten(2, 3)[:, :, : self.T]


@dataclass(frozen=True)
class Decays:
    """The decays inside chunks, from log gates (B or 1, H, T); without gates only the causal mask."""

    causal_CC: Tensor
    weight_BHNCC: Tensor | None = None
    since_start_BHNC1: Tensor | None = None
    until_end_BHNC1: Tensor | None = None

    @staticmethod
    def of(log_gate_BHT: Tensor | None, layout: Layout, like: Tensor) -> Decays:
        causal_CC = torch.ones(layout.chunk, layout.chunk, dtype=like.dtype, device=like.device).tril_()
        if log_gate_BHT is None:
            return Decays(causal_CC)
        missing = layout.N * layout.chunk - layout.T
        same_everywhere = log_gate_BHT.stride(2) == 0 and not missing  # ALiBi: one chunk's decays serve for all
        if same_everywhere:
            log_gate_BHT = log_gate_BHT[:, :, : layout.chunk]
        log_gate_BHT = pad(log_gate_BHT, (0, missing)) if missing else log_gate_BHT
        L_BHNC = log_gate_BHT.unflatten(2, (-1, layout.chunk)).double().cumsum(-1)
        later = L_BHNC.unsqueeze(-1) - L_BHNC.unsqueeze(-2)
        weight_BHNCC = later.masked_fill_(causal_CC == 0, -torch.inf).to(like.dtype).exp_()
        since_start = L_BHNC.to(like.dtype).exp().unsqueeze(-1)
        until_end = (L_BHNC[..., -1:] - L_BHNC).to(like.dtype).exp_().unsqueeze(-1)
        decays = (decay.expand(-1, -1, layout.N, -1, -1) for decay in (weight_BHNCC, since_start, until_end))
        return Decays(causal_CC, *decays)

    def mask_(self, weight_BHNCC: Tensor, n0: int, n1: int) -> Tensor:
        """Multiplies by the decay between positions, zero for the future, in place."""
        return weight_BHNCC.mul_(self.causal_CC if self.weight_BHNCC is None else self.weight_BHNCC[:, :, n0:n1])

    def since_start(self, x_BHNCV: Tensor, n0: int, n1: int) -> Tensor:
        return x_BHNCV if self.since_start_BHNC1 is None else x_BHNCV * self.since_start_BHNC1[:, :, n0:n1]

    def until_end(self, x_BHNCV: Tensor, n0: int, n1: int) -> Tensor:
        return x_BHNCV if self.until_end_BHNC1 is None else x_BHNCV * self.until_end_BHNC1[:, :, n0:n1]

    def whole(self, n0: int, n1: int) -> Tensor | None:
        """The decay over each whole chunk (B or 1, H, n, 1, 1)."""
        return None if self.since_start_BHNC1 is None else self.since_start_BHNC1[:, :, n0:n1, -1:]


def scan(states_BHNPV: Tensor, added_BHNPV: Tensor, decay_BHN11: Tensor | None) -> None:
    """states[n + 1] = decay[n] states[n] + added[n], in place; states[0] is given."""
    for n in range(added_BHNPV.shape[2]):
        if decay_BHN11 is None:
            torch.add(states_BHNPV[:, :, n], added_BHNPV[:, :, n], out=states_BHNPV[:, :, n + 1])
        else:
            torch.addcmul(
                added_BHNPV[:, :, n], decay_BHN11[:, :, n], states_BHNPV[:, :, n], out=states_BHNPV[:, :, n + 1]
            )


def scan_back(dout_BHNPV: Tensor, dread_BHNPV: Tensor, carry_BHPV: Tensor, decay_BHN11: Tensor | None) -> Tensor:
    """Fills dout[n], the gradient of the state after chunk n; returns that of the state before the first."""
    for n in reversed(range(dout_BHNPV.shape[2])):
        dout_BHNPV[:, :, n] = carry_BHPV
        if decay_BHN11 is None:
            carry_BHPV = carry_BHPV + dread_BHNPV[:, :, n]
        else:
            carry_BHPV = torch.addcmul(dread_BHNPV[:, :, n], decay_BHN11[:, :, n], carry_BHPV)
    return carry_BHPV
