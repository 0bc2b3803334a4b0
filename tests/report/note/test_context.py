"""State and training context: planted growth, and planted exponents."""

from __future__ import annotations

import math

import pytest

from isostate.report.fits import fit_laws
from isostate.report.note import Studies, context
from isostate.report.note.studies import CONTEXT
from tests.report import planted_joint, planted_note

STATES = (1_024, 4_096, 16_384)
CONTEXTS = (64, 256, 1_024)


def table(growth: float, noise: float = planted_note.NOISE, family: str = "power-2-gated") -> list[dict]:
    """A doubling of state gains 0.02 nats at a context of 64, and `growth` more a doubling of the context."""
    return [
        row
        for t in CONTEXTS
        for row in planted_note.rows(
            family,
            STATES,
            lambda s, t=t: 4.0 - (0.02 + growth * math.log2(t / 64)) * math.log2(s / 1_024),
            context=t,
            noise=noise,
        )
    ]


@pytest.mark.parametrize(
    ("growth", "noise", "verdict"),
    [(0.01, 0.004, "confirmed"), (-0.01, 0.004, "refuted"), (0.001, 0.05, "undecided")],
)
def test_the_states_law_grows_with_the_training_context_or_shrinks(growth, noise, verdict):
    claim = context.grows(planted_note.study(CONTEXT, table(growth, noise)))
    assert claim.verdict == verdict
    assert claim.parts[0].estimate.value == pytest.approx(4 * growth, abs=2 * noise)  # four doublings of state


def test_the_falls_are_told_context_by_context():
    claim = context.grows(planted_note.study(CONTEXT, table(0.01, 1e-9)))
    assert "power-2-gated falls by 0.080 at 64, 0.160 at 256, 0.240 at 1,024" in claim.evidence


def test_falls_are_taken_over_the_states_that_every_context_has():
    rows = table(0.01, 1e-9)
    for row in rows:  # a window wider than the shortest context holds only that
        if (row["train_context"], row["state"]["elements"]) == (64, STATES[-1]):
            row["state"]["elements"] = 9_000
    claim = context.grows(planted_note.study(CONTEXT, rows))
    assert "power-2-gated falls by 0.040 at 64, 0.080 at 256, 0.120 at 1,024" in claim.evidence


def test_a_window_is_told_beside_and_decides_nothing():
    both = table(0.01) + table(-0.01, family="window")
    claim = context.grows(planted_note.study(CONTEXT, both))
    assert (claim.verdict, len(claim.parts)) == ("confirmed", 1)
    assert "; beside: window −0.0" in claim.evidence
    assert context.grows(planted_note.study(CONTEXT, table(-0.01, family="window"))).parts == ()


def thumb(chi: float, tau: float) -> str:
    rows = [
        planted_note.row(
            "power-2", s, 2 + 3 * t**-chi + 20 * s**-0.5 * t**tau, context=t, noise=0.0005, evals=(16_384,)
        )
        for t in planted_joint.CONTEXTS
        for s in planted_joint.STATES
    ]
    laws = fit_laws(rows, {"fit": [{"law": "state-context"}]})
    return context.thumb(planted_note.study(CONTEXT, rows, laws)[CONTEXT])


@pytest.mark.parametrize(("chi", "tau", "verdict"), [(0.2, 0.05, "confirmed"), (0.35, 0.1, "refuted")])
def test_the_exponent_of_the_state_worth_having_is_held_against_a_half(chi, tau, verdict):
    claim = thumb(chi, tau)
    assert claim.parts[0].estimate.value == pytest.approx((chi + tau) / 0.5, abs=0.1)
    assert claim.verdict == verdict


def test_a_law_that_ended_on_a_bound_decides_nothing_and_says_so():
    claim = thumb(0.35, 0.1)
    entry = {
        "law": "state-context", "params": {"beta": {}}, "group": {"family": "window"}, "converged": True,
        "bound_hits": ["beta"], "alarms": ["beta on its bound (3e-10)", "more"],
        "derived": {"state_exponent": {"value": 9.0, "low": 8.0, "high": 10.0}}, "states": [1.0, 100.0],
        "best": [{"x": 128.0, "value": 2.0}, {"x": 512.0, "value": 90.0}],
    }  # fmt: skip
    study = planted_note.study(CONTEXT, [], [entry])[CONTEXT]
    assert context.thumb(study).verdict == "undecided"
    assert "the law of window warns: beta on its bound" in context.thumb(study).evidence
    free = {**entry, "bound_hits": []}
    beyond = {**free, "states": [3.0, 100.0]}  # of one S* among them an exponent says nothing
    assert context.thumb(planted_note.study(CONTEXT, [], [beyond])[CONTEXT]).verdict == "undecided"
    assert context.thumb(planted_note.study(CONTEXT, [], [free])[CONTEXT]).verdict == claim.verdict == "refuted"


def test_without_records_nothing_is_decided():
    assert {claim.evidence for claim in context.of_the_context(Studies([]))} == {"not trained yet"}
