"""What steps of query-key-value mixers share: each option changes what is computed."""

from __future__ import annotations

import torch

from isostate.mixers.power import PowerConfig
from tests.mixers.runs import BATCH, build, tokens
from tests.mixers.steps.running import load, prepared, run


def test_each_option_changes_the_output():
    changes = ({}, {"positions": "rotary"}, {"positions": "rotary", "rotary": {"base": 50.0}}, {"qk_norm": "rms"})
    outputs = []
    for change in changes:
        config = PowerConfig.parse({"d_model": 16, "n_heads": 2, **change}, "mixer")
        outputs.append(torch.stack(list(run(prepared(build(config)), tokens(config, 5))), dim=1))
    for i, one in enumerate(outputs):
        assert all((one - other).abs().max() > 1e-6 for other in outputs[i + 1 :])


def test_positions_are_those_of_the_sequence_not_of_the_step():
    config = PowerConfig.parse({"d_model": 16, "n_heads": 2, "positions": "rotary"}, "mixer")
    mixer, x_BTD = build(config), tokens(config, 6)
    with torch.no_grad():
        _, state = mixer(x_BTD[:, :3])
        want_BTD, _ = mixer(x_BTD[:, 3:], state)
    right, wrong = prepared(mixer), prepared(mixer)
    load(right, state)
    load(wrong, state)
    wrong.position.now = 0
    assert state.matrix_BHPV.shape[0] == BATCH
    got_BTD, other_BTD = (torch.stack(list(run(step, x_BTD[:, 3:])), dim=1) for step in (right, wrong))
    assert torch.allclose(got_BTD, want_BTD, rtol=1e-9)
    assert not torch.allclose(other_BTD, want_BTD, rtol=1e-3)
