from __future__ import annotations

import json

import pytest

from isostate.config import UserError
from isostate.report import fits
from tests.report import studies


def test_each_family_and_evaluation_context_has_its_law():
    entries = fits.fit_laws(studies.small(), studies.STUDY)
    found = {(entry["group"]["family"], entry["group"]["eval_context"]) for entry in entries}
    assert found == {(f, c) for f in ("power-2", "taylor-2", "linear", "window") for c in (256, 1_024)}


def test_planted_exponents_come_back_within_their_intervals():
    entries = fits.fit_laws([studies.run(state=2**k, seed=s) for k in range(9, 18) for s in (0, 1)], studies.STUDY)
    alpha = entries[0]["params"]["alpha"]
    assert alpha["low"] < studies.FAMILIES["power-2"][2] < alpha["high"]
    assert abs(alpha["value"] - studies.FAMILIES["power-2"][2]) < 0.05


def test_a_bootstrap_stands_beside_the_profiles_intervals_and_changes_nothing_else():
    plain, drawn = (fits.fit_laws(studies.small(), studies.STUDY, bootstrap=draws)[0] for draws in (0, 200))
    assert plain["bootstrap"] == {}
    alpha = drawn["bootstrap"]["alpha"]
    assert alpha["low"] < studies.FAMILIES["power-2"][2] < alpha["high"]
    assert {**drawn, "bootstrap": {}} == plain


def test_a_law_joins_only_runs_of_one_size_context_and_condition():
    table = [*studies.full(), studies.run(steps=3_000)]
    for group, members in fits.groups(fits.runs.drawn(table)):
        kept = {(row["family"], row["n_layers"], row["train_context"], row["steps"]) for row in members}
        assert len(kept) == 1, group


def test_the_largest_state_is_held_out():
    entry = fits.fit_laws(studies.small(), studies.STUDY)[0]
    assert [point["x"] for point in entry["points"] if point["held_out"]] == [32_768]


def test_too_few_states_give_alarms_and_no_number():
    (entry, _) = fits.fit_laws([studies.run(state=state) for state in (2_048, 8_192)], studies.STUDY)
    assert entry["params"] == {}
    assert entry["alarms"]
    assert entry["advice"]


def test_a_study_that_asks_for_no_law_gets_none():
    assert fits.fit_laws(studies.small(), {**studies.STUDY, "fit": []}) == []


def test_a_law_that_the_page_cannot_fit_is_refused_in_one_line():
    with pytest.raises(
        UserError, match=r'law = "stat".*allowed: state, state-context, state-params \(did you mean "state"\?\)'
    ) as refused:
        fits.fit_laws(studies.small(), {**studies.STUDY, "fit": [{"law": "stat"}]})
    assert "\n" not in str(refused.value)


def test_a_law_is_found_by_its_group():
    entries = fits.fit_laws(studies.small(), studies.STUDY)
    assert fits.find(entries, entries[3]["group"]) is entries[3]
    assert fits.find(entries, {**entries[3]["group"], "family": "other"}) is None


def test_an_entry_is_read_back_as_the_fit_it_tells_of():
    table = [*studies.small(), *(studies.run("short", state=state) for state in studies.STATES[:2])]
    entries = json.loads(json.dumps(fits.fit_laws(table, studies.STUDY)))
    assert {bool(entry["params"]) for entry in entries} == {True, False}  # of a law, and of a fit that failed
    for entry in entries:
        fit = fits.read(entry)
        assert {"group": entry["group"], **fit.to_dict()} == entry
        if entry["params"]:
            last = entry["points"][-1]["x"]
            value = {name: interval["value"] for name, interval in entry["params"].items()}
            law = value["L_inf"] + value["A"] * last ** -value["alpha"]
            assert fit.predict({"S": [last]}) == pytest.approx([law], rel=1e-12)
