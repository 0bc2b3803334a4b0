"""Documents packed end to end in the rows of a batch, and rows of different lengths: what a mixer must know of both.

A position that begins a document sees nothing before it: the state is dropped there, and positions count from 0 again.
A row's first document may have begun before position 0: the state carries it on. Rows are padded on the right: padding
changes no state, takes and gives no gradient, and a mixer's output there is zero; what stands there must be finite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.functional import pad

# A log gate that forgets everything: its exponential is 0 in float64 too, and sums of many of them in float64 keep
# differences of real gates to 1e-10.
FORGET = -750.0


@dataclass(frozen=True, eq=False)
class Documents:
    """`starts_BT` (bool): whether a position begins a document. `lengths_B`: positions of each row that are no padding;
    None: all are not. What padding says of starts is ignored. Raises ValueError for what no batch can be.
    """

    starts_BT: Tensor
    lengths_B: Tensor | None = None

    def __post_init__(self) -> None:
        starts_BT, lengths_B = self.starts_BT, self.lengths_B
        if starts_BT.ndim != 2 or starts_BT.dtype != torch.bool:
            raise ValueError(
                f"starts: {starts_BT.dtype} of shape {list(starts_BT.shape)}; give bool of (batch, length)"
            )
        if lengths_B is None:
            return
        batch, length = starts_BT.shape
        if lengths_B.shape != (batch,) or not bool(((lengths_B >= 0) & (lengths_B <= length)).all()):
            raise ValueError(f"lengths = {lengths_B.tolist()}: give {batch} of them, each from 0 to {length}")
        object.__setattr__(self, "starts_BT", starts_BT & ~self._padding_BT(lengths_B))

    @staticmethod
    def ragged(lengths_B: Tensor, length: int) -> Documents:
        """Rows of these lengths, padded to `length`, that go on with what their states carry."""
        return Documents(torch.zeros(len(lengths_B), length, dtype=torch.bool, device=lengths_B.device), lengths_B)

    @staticmethod
    def one(x_BHTK: Tensor) -> Documents:
        """Whole rows that go on with what their states carry."""
        return Documents(torch.zeros(len(x_BHTK), x_BHTK.shape[-2], dtype=torch.bool, device=x_BHTK.device))

    def slice(self, start: int, stop: int) -> Documents:
        """Of positions start .. stop - 1."""
        lengths_B = None if self.lengths_B is None else (self.lengths_B - start).clamp(0, stop - start)
        return Documents(self.starts_BT[:, start:stop], lengths_B)

    @cached_property
    def padding_BT(self) -> Tensor | None:
        """Whether a position is none; None where every one is."""
        return None if self.lengths_B is None else self._padding_BT(self.lengths_B)

    @cached_property
    def ends_B(self) -> Tensor:
        """The length of each row."""
        batch, length = self.starts_BT.shape
        return self._place_T.new_full((batch,), length) if self.lengths_B is None else self.lengths_B

    @cached_property
    def begins_BT(self) -> Tensor:
        """Where the document of each position begins; -1 where it began before position 0."""
        return torch.where(self.starts_BT, self._place_T, -1).cummax(1).values

    def positions_BT(self, carried: int | Tensor) -> Tensor:
        """Of each position within its document, `carried` of the first of which have been read before."""
        carried_B1 = carried.unsqueeze(1) if isinstance(carried, Tensor) else carried
        return torch.where(self.begins_BT >= 0, self._place_T - self.begins_BT, self._place_T + carried_B1)

    def position_after(self, carried: int | Tensor) -> int | Tensor:
        """Positions read of each row's last document: one number where all rows agree."""
        last_B = self.begins_BT[:, -1]
        return agreed(torch.where(last_B >= 0, self.ends_B - last_B, self.ends_B + carried))

    @cached_property
    def predicts_BT(self) -> Tensor:
        """Whether the next position is of the same document; of the last position its target alone can tell."""
        ends_BT = pad(self.starts_BT[:, 1:], (0, 1))
        return ~ends_BT if self.padding_BT is None else ~(ends_BT | self.padding_BT)

    def log_gates(self, log_gate_BHT: Tensor | None, like: Tensor) -> Tensor:
        """Of the engine: those given, except that a document's first position forgets all, and padding nothing."""
        log_gate_BHT = like.new_zeros(()) if log_gate_BHT is None else log_gate_BHT
        log_gate_BHT = torch.where(self.starts_BT.unsqueeze(1), FORGET, log_gate_BHT)
        return log_gate_BHT if self.padding_BT is None else log_gate_BHT.masked_fill(self.padding_BT.unsqueeze(1), 0.0)

    def cleared(self, x_BTD: Tensor) -> Tensor:
        """Zero at padding."""
        return x_BTD if self.padding_BT is None else x_BTD.masked_fill(self.padding_BT.unsqueeze(-1), 0.0)

    def last(self, x_BSD: Tensor, count: int) -> Tensor:
        """Of `count` positions carried and these behind them the last `count` of each row, zero before its document."""
        at_BW = self.ends_B.unsqueeze(1) + torch.arange(count, device=x_BSD.device)
        begin_B1 = self.begins_BT[:, -1:]
        past_BWD = x_BSD.gather(1, at_BW.unsqueeze(-1).expand(-1, -1, x_BSD.shape[2]))
        return past_BWD.masked_fill(((begin_B1 >= 0) & (at_BW < begin_B1 + count)).unsqueeze(-1), 0.0)

    def by_pieces(
        self, run: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x_BTD: Tensor, state_BDR: Tensor
    ) -> tuple[Tensor, Tensor]:
        """`run`, from x and a state to y and the state after it, over pieces of positions inside which nothing begins
        or ends in any row: for what knows no documents. Exact; takes a call a piece.
        """
        length = x_BTD.shape[1]
        places = {0, length, *self.starts_BT.any(0).nonzero().flatten().tolist(), *self.ends_B.tolist()}
        outputs = []
        for start, stop in pairwise(sorted(places)):
            state_BDR = state_BDR.masked_fill(self.starts_BT[:, start, None, None], 0.0)
            y_BTD, after_BDR = run(x_BTD[:, start:stop], state_BDR)
            outputs.append(y_BTD)
            if self.padding_BT is None:
                state_BDR = after_BDR
            else:
                state_BDR = torch.where(self.padding_BT[:, start, None, None], state_BDR, after_BDR)
        return torch.cat(outputs, dim=1), state_BDR

    @cached_property
    def _place_T(self) -> Tensor:
        return torch.arange(self.starts_BT.shape[1], device=self.starts_BT.device)

    def _padding_BT(self, lengths_B: Tensor) -> Tensor:
        return self._place_T >= lengths_B.unsqueeze(1)


def agreed(position_B: Tensor) -> int | Tensor:
    """The one number that all rows have, or what each has."""
    return int(position_B[0]) if bool((position_B == position_B[0]).all()) else position_B


def positions_of(x: Tensor, carried: int | Tensor, documents: Documents | None) -> int | Tensor:
    """Of x_BTD or tokens_BT: where all rows begin, or position_BT within each token's document; `carried` are read."""
    if documents is not None:
        return documents.positions_BT(carried)
    if isinstance(carried, int):
        return carried
    return carried.unsqueeze(1) + torch.arange(x.shape[1], device=x.device)
