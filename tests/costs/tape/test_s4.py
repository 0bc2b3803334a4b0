"""S4 is told as it runs: one chunk and many, the last one whole or not, both discretisations, modes in pairs or not.

In a block: before a leaf torch would accumulate its gradient while the filters' backward still runs.
"""

from __future__ import annotations

import pytest

from isostate.costs.tape import chunks
from isostate.costs.tape.block import block
from isostate.mixers.s4 import S4Config
from isostate.model.block import Block
from tests.costs.tape.mixing import assert_told
from tests.costs.tape.running import assert_same, in_torch, on_tape
from tests.model.options import config_of

CONFIGS = {
    "pairs, held": {},
    "pairs, bilinear, biased": {"discretisation": "bilinear", "bias": "all"},
    "real": {"start": "real", "discretisation": "bilinear"},
}


def assert_block_told(mixer: S4Config, batch: int, context: int, form: str = "chunked") -> None:
    """Every allocation of a block with this mixer."""
    config = config_of(mixer, bias="all" if mixer.bias == "all" else "none")
    module = Block(config)
    told = on_tape(lambda tape, z: block(tape, config, z, batch, context, form), batch * context * mixer.d_model)
    assert_same(told, in_torch(lambda z: module.alone(z, form), (batch, context, mixer.d_model), module))


@pytest.mark.parametrize("context", [7, 16, 20, 50])
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_allocation_is_told(name, batch, context, monkeypatch):
    monkeypatch.setattr(chunks, "ALIKE", 10**9)
    assert_block_told(S4Config(d_model=32, d_state=6, chunk=16, **CONFIGS[name]), batch, context)


def test_the_parallel_form_is_told_at_any_length():
    assert_block_told(S4Config(d_model=32, d_state=6, chunk=16), 2, 50, "parallel")


def test_the_recurrent_form_is_not_told():
    with pytest.raises(AssertionError, match="the tape tells no recurrent form of s4"):
        assert_told(S4Config(d_model=32, d_state=6), 1, 16, "recurrent")
