"""Real steps: models of both purposes, each timed again at every visit."""

from __future__ import annotations

from isostate.costs import real_steps
from isostate.costs.real_steps import TINY_LAYERS, TINY_MIXERS, WHOLE_MIXERS, Steps, prepare


def test_a_visit_warms_up_and_then_takes_the_time(monkeypatch):
    now = iter(range(100))
    monkeypatch.setattr(real_steps, "own_clock", lambda: float(next(now)))
    runs: list[int] = []
    step = Steps(prepare().whole[0][0].config, 1, 8, lambda: runs.append(1), times=3)
    step.visit()
    step.visit()
    assert step.taken == [1.0] * 6
    assert step.seconds == 1.0
    assert len(runs) == 2 * (real_steps.WARM_UP + 3)


def test_every_mixer_has_updates_and_tokens_few_layers_and_many():
    steps = prepare()
    assert [[one.config.mixer.kind for one in some] for some in steps.whole] == 2 * [
        [mixer["kind"] for mixer in WHOLE_MIXERS]
    ]
    for pairs in steps.tiny:
        assert len(pairs) == len(TINY_MIXERS)
        assert all(tuple(one.config.n_layers for one in pair) == TINY_LAYERS for pair in pairs)
    assert len(list(steps.all())) == 2 * (2 * len(TINY_MIXERS) + len(WHOLE_MIXERS))
    for one in steps.all():
        one.work()
