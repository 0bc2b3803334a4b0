"""The filters alone: what they are grows with the chunk, what they take on the way is gone again."""

from __future__ import annotations

import pytest

from isostate.costs.tape.s4_modes import ModeSizes, filters, filters_backward
from isostate.costs.tape.tape import Tape
from isostate.mixers.s4 import S4Config


@pytest.mark.parametrize("discretisation", ["zoh", "bilinear"])
@pytest.mark.parametrize("start", ["lin", "real"])
def test_only_the_filters_stay_and_then_nothing(start, discretisation):
    sizes = ModeSizes.of(S4Config(d_model=12, d_state=6, start=start, discretisation=discretisation), 16)
    tape = Tape()
    made = filters(tape, sizes, 4)
    assert tape.live == 4 * (12 * 16 + 2 * 12 * 6 * 16 + 4 * 12 * 6)
    assert tape.peak > tape.live
    filters_backward(tape, sizes, made, 4)
    assert tape.live == 0
