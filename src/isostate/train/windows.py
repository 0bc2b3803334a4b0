"""From windows of tokens to what a model is given: inputs, targets, and where documents begin if that matters."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from isostate.data import BOUNDARY
from isostate.mixers import Documents

NO_TARGET = -1


class Given(NamedTuple):
    """Of a decoder: a target is negative where the next token begins another document. None: rows are taken whole."""

    inputs_BT: Tensor
    targets_BT: Tensor
    documents: Documents | None

    @property
    def n_targets(self) -> int:
        return self.targets_BT.numel() if self.documents is None else int((self.targets_BT >= 0).sum())


def given(tokens_BT: Tensor, document_mask: bool) -> Given:
    """Of windows, a token longer than the context. The boundary token begins a document: no text can spell it."""
    inputs_BT, targets_BT = tokens_BT[:, :-1].contiguous(), tokens_BT[:, 1:].contiguous()
    begins_BT = tokens_BT == BOUNDARY
    if not document_mask or not bool(begins_BT.any()):
        return Given(inputs_BT, targets_BT, None)
    targets_BT = torch.where(begins_BT[:, 1:], NO_TARGET, targets_BT)
    return Given(inputs_BT, targets_BT, Documents(begins_BT[:, :-1]))
