"""Every mixer has a row, of forms that it has; its tables are those that the first step makes."""

from __future__ import annotations

from isostate.costs.tape.mixers import MIXERS_TOLD
from isostate.mixers import FORMS, MIXERS
from isostate.mixers.power import PowerConfig
from isostate.mixers.softmax import SoftmaxConfig


def test_every_mixer_is_told_in_forms_that_it_has():
    assert MIXERS_TOLD.keys() == MIXERS.keys()
    for told in MIXERS_TOLD.values():
        assert "chunked" in told.forms
        assert set(told.forms) < set(FORMS)


def test_tables_stay_and_only_rotary_ones_are_kept_by_a_graph():
    rotary = SoftmaxConfig(d_model=16, n_heads=4, positions="rotary")
    assert [(t.nbytes, t.kept) for t in MIXERS_TOLD["softmax"].tables(rotary, 10, 4)] == [(10 * 4 * 4, True)] * 2
    power = PowerConfig(d_model=16, n_heads=2, positions="alibi")
    sizes = {t.name: t.nbytes for t in MIXERS_TOLD["power"].tables(power, 10, 4)}
    assert sizes == {"slopes": 2 * 4, "weights of monomials": 36 * 8, "numbers of monomials": 2 * 36 * 8}
    assert not any(t.kept for t in MIXERS_TOLD["power"].tables(power, 10, 4))
