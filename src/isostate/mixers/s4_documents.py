"""A filter over packed documents: each that begins here is convolved in a row of its own, at its end, behind zeros.

A filter leaves a state of zeros where it reads zeros, so output and last state are the document's. Rows are as long as
the next power of two, so that there is one call a length. What states carry on, up to a row's first document, goes by
pieces (`documents.py`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from isostate.mixers.documents import Documents

SHORTEST = 16  # positions of a row: fewer would only make more calls

Run = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]  # from x_BTD and state_BDR to y_BTD and the state after it


class Segment(NamedTuple):
    """Positions of one document in one row of the batch; whether they are the row's last."""

    row: int
    start: int
    stop: int
    is_last: bool


def by_documents(run: Run, x_BTD: Tensor, state_BDR: Tensor, documents: Documents) -> tuple[Tensor, Tensor]:
    """y_BTD, zero at padding, and the last states."""
    length, device = x_BTD.shape[1], x_BTD.device
    carries = state_BDR.requires_grad or bool(state_BDR.any())
    carried, segments = _cut(documents, carries)
    y_BTD = torch.zeros_like(x_BTD)
    if (longest := max(carried)) > 0:
        goes_on = Documents.ragged(torch.tensor(carried, device=device), longest)
        y_BCD, state_BDR = goes_on.by_pieces(run, x_BTD[:, :longest], state_BDR)
        y_BTD = pad(goes_on.cleared(y_BCD), (0, 0, 0, length - longest))
    x_MD, y_MD = x_BTD.flatten(0, 1), y_BTD.flatten(0, 1)
    for size, rows in sorted(segments.items()):
        stops_M1 = torch.tensor([row.row * length + row.stop for row in rows], device=device).unsqueeze(1)
        lengths_M1 = torch.tensor([row.stop - row.start for row in rows], device=device).unsqueeze(1)
        back_C = torch.arange(size, 0, -1, device=device)  # places before the end
        at_MC, real_MC = (stops_M1 - back_C).clamp(min=0), back_C <= lengths_M1
        x_MCD = x_MD.index_select(0, at_MC.flatten()).unflatten(0, at_MC.shape)
        x_MCD = x_MCD.masked_fill(~real_MC.unsqueeze(-1), 0.0)
        y_MCD, after_MDR = run(x_MCD, state_BDR.new_zeros(len(rows), *state_BDR.shape[1:]))
        y_MD = y_MD.index_copy(0, at_MC[real_MC], y_MCD[real_MC])
        last = [number for number, row in enumerate(rows) if row.is_last]
        if last:
            ends_B = torch.tensor([rows[number].row for number in last], device=device)
            state_BDR = state_BDR.index_copy(0, ends_B, after_MDR[last])
    return y_MD.view_as(x_BTD), state_BDR


def _cut(documents: Documents, carries: bool) -> tuple[list[int], dict[int, list[Segment]]]:
    """How many positions of each row go on with what its state carries; the other documents, by size of their row."""
    carried, segments = [], defaultdict(list)
    for row, end in enumerate(documents.ends_B.tolist()):
        begins = documents.starts_BT[row].nonzero().flatten().tolist()
        if end and not carries:  # from an empty state each row begins with a document
            begins = sorted({0, *begins})
        carried.append(begins[0] if begins else end)
        for start, stop in pairwise([*begins, end]):
            size = max(SHORTEST, 1 << (stop - start - 1).bit_length())
            segments[size].append(Segment(row, start, stop, stop == end))
    return carried, segments
