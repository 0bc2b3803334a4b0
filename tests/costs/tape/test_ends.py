"""Embeddings and the head are told as they run: positions, dropping, pieces of the vocabulary, a shared table."""

from __future__ import annotations

import pytest
import torch

from isostate.costs import counting
from isostate.costs.tape import ends
from isostate.costs.tape.ends import Table, embed, head
from isostate.costs.tape.tape import Tape
from isostate.model import Decoder
from isostate.model import head as head_module
from tests.mixers.cases import CASES
from tests.model.options import OPTIONS, config_of

BATCH, CONTEXT, ROWS = 2, 40, 80
ENDS = [name for name in OPTIONS if "dropout" in name or "position" in name or "every" in name or "sinus" in name]


def peak_told(config) -> int:
    """The most of embedding and head without a block between them."""
    tape, table = Tape(4), Table(config)
    z = embed(tape, config, table, BATCH, CONTEXT)
    head(tape, config, table, z, ROWS)
    tape.backward()
    assert tape.live == 0
    return tape.peak


def peak_in_torch(config) -> int:
    model = Decoder(config)
    model.blocks = torch.nn.ModuleList()
    tokens_BT = torch.zeros(BATCH, CONTEXT, dtype=torch.long)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)

    def step() -> None:
        model.train_loss(tokens_BT, tokens_BT).backward()

    step()
    return counting.peak_allocated_bytes(step)


@pytest.mark.parametrize("vocab_size", [29, 3_000])
@pytest.mark.parametrize("embeddings", ["tied", "untied"])
@pytest.mark.parametrize("name", [*ENDS, "defaults", "layer norm", "capped logits"])
def test_the_ends_alone_peak_as_in_torch(name, embeddings, vocab_size):
    config = config_of(CASES[0], **OPTIONS[name] | {"embeddings": embeddings, "vocab_size": vocab_size})
    assert 0 <= peak_in_torch(config) - peak_told(config) <= 64


@pytest.mark.parametrize("cap", [None, 5.0])
def test_pieces_hold_the_weights_of_the_one_before(cap, monkeypatch):
    monkeypatch.setattr(head_module, "PIECE_ELEMENTS", 20 * 3_000)
    config = config_of(CASES[0], vocab_size=3_000, logit_cap=cap)
    assert ends.piece_rows(3_000) == 20
    assert 0 <= peak_in_torch(config) - peak_told(config) <= 64


def test_a_shared_tables_gradient_waits_for_the_embeddings():
    tied, untied = (Table(config_of(CASES[0], embeddings=kind)) for kind in ("tied", "untied"))
    for table, waiting in ((tied, 1), (untied, 0)):
        tape = Tape(4)
        table.from_head(tape)
        assert tape.live == waiting * 4 * table.size
        table.from_embedding(tape, tape.new(1, "given"))
        assert tape.live == 0
