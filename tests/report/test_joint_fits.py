"""Joint laws of a study: planted exponents come back, with the state that each context or size asks for."""

from __future__ import annotations

import pytest

from isostate import laws
from isostate.laws.consequences import state_for_params
from isostate.report.best_state import told_exponent
from isostate.report.fits import fit_laws, of_state
from isostate.report.joint_fits import _best, exponent, exponent_verdict, fit_joint, trained
from tests.report import planted_joint, studies


@pytest.fixture(scope="module")
def context_entry():
    (entry,) = fit_joint("state-context", planted_joint.contexts())
    return entry


def test_the_exponent_of_the_state_worth_having_comes_back_with_its_interval(context_entry):
    exponent = context_entry["derived"]["state_exponent"]
    planted = (planted_joint.TAU + planted_joint.CHI) / planted_joint.BETA
    assert exponent["low"] < planted < exponent["high"]
    assert exponent["value"] == pytest.approx(planted, rel=0.1)
    assert not exponent["low"] < planted_joint.CHI / planted_joint.BETA - 0.15 < exponent["high"]  # tau left out
    assert context_entry["group"] == {
        "family": "power-2",
        "size": "2x64",
        "train_context": None,
        "eval_context": 16_384,
        "condition": context_entry["group"]["condition"],
    }


def test_each_context_has_the_state_that_it_asks_for(context_entry):
    beta, chi, tau = planted_joint.BETA, planted_joint.CHI, planted_joint.TAU
    assert [point["x"] for point in context_entry["best"]] == list(planted_joint.CONTEXTS)
    for point in context_entry["best"]:
        planted = (20 * point["x"] ** (tau + chi) / 3) ** (1 / beta)
        assert point["value"] == pytest.approx(planted, rel=0.35)
        assert point["low"] < point["value"] < point["high"]


def test_state_with_parameters_is_fitted_over_the_sizes_of_each_context():
    (entry,) = fit_joint("state-params", planted_joint.params())
    exponent = entry["derived"]["state_exponent"]
    assert exponent["value"] == pytest.approx(planted_joint.ALPHA / planted_joint.BETA_N, rel=0.15)
    assert (entry["group"]["size"], entry["group"]["train_context"]) == (None, 256)
    assert len(entry["best"]) == len(planted_joint.SIZES)
    assert state_for_params.__doc__


def test_softmax_has_no_state_of_its_own_and_few_points_give_advice():
    rows = planted_joint.contexts()[:4] + planted_joint.contexts("softmax")
    (entry,) = fit_joint("state-context", rows)
    assert entry["params"] == {}
    assert entry["best"] == []
    assert entry["alarms"]


def test_a_study_asks_for_them_by_name_and_laws_in_the_state_stay_apart():
    study = {**studies.STUDY, "fit": [{"law": "state"}, {"law": "state-params"}]}
    entries = fit_laws(planted_joint.params(), study)
    assert {entry["law"] for entry in entries} == {"state", "state-params"}
    assert {entry["law"] for entry in of_state(entries)} == {"state"}


def test_a_state_beyond_what_floats_can_count_is_left_out():
    law = laws.LAWS["state-context"]
    found = {name: laws.Interval(1.0) for name in law.names}
    fit = laws.Fit(law, "none", "none", 0.95, (), params={**found, "beta": laws.Interval(1e-9)})
    assert _best("state-context", fit, [studies.run(context=2), studies.run(context=1_024)]) == []
    fit = laws.Fit(law, "none", "none", 0.95, (), params={**found, "beta": laws.Interval(0.5)})
    told = _best("state-context", fit, [studies.run(context=2)])  # (B T^(tau + chi) / H)^(1 / beta)
    assert told == [{"x": 2.0, "value": pytest.approx(16.0), "low": None, "high": None}]


def test_only_places_whose_state_was_trained_are_told_and_a_bound_decides_nothing(context_entry):
    least, most = context_entry["states"]
    assert (least, most) == (planted_joint.STATES[0], planted_joint.STATES[-1])
    assert trained(context_entry) == [p for p in context_entry["best"] if least <= p["value"] <= most]
    assert trained({**context_entry, "states": [1.0, 2.0]}) == []
    assert exponent_verdict(context_entry) == "refuted"  # planted: 0.8
    assert exponent_verdict({**context_entry, "states": [1.0, 2.0]}) == "undecided"  # of S* that were not measured
    assert exponent_verdict({**context_entry, "bound_hits": ["tau"]}) == "undecided"
    assert exponent_verdict({**context_entry, "converged": False}) == "undecided"
    assert told_exponent(exponent(context_entry)).startswith("0.")
    assert told_exponent(exponent({**context_entry, "bound_hits": ["tau"]})).endswith(", no interval")
    assert told_exponent(exponent({"derived": {}})) == "no fit"
