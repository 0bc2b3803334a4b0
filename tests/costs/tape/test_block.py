"""A block is told as it runs, every option of it."""

from __future__ import annotations

import pytest

from isostate.costs.tape import chunks
from isostate.costs.tape.block import block
from isostate.model.block import Block
from tests.costs.configurations import GATED_POWER, GROUPED
from tests.costs.tape.running import assert_same, in_torch, on_tape
from tests.model.options import OPTIONS, config_of


@pytest.mark.parametrize("mixer", [GROUPED, GATED_POWER], ids=["softmax", "power"])
@pytest.mark.parametrize("name", OPTIONS)
def test_every_allocation_of_a_block_is_told(name, mixer, monkeypatch):
    monkeypatch.setattr(chunks, "ALIKE", 10**9)
    config = config_of(mixer, **OPTIONS[name])
    module = Block(config)
    batch, context = 2, 48
    told = on_tape(lambda tape, z: block(tape, config, z, batch, context, "chunked"), batch * context * 16)
    assert_same(told, in_torch(lambda z: module.alone(z, "chunked"), (batch, context, 16), module))
