"""A law's parameters in words: a bound is no value, and what follows a bound means nothing."""

from __future__ import annotations

import pytest

from isostate.report import law_words, numbers, tables
from isostate.report.fits import fit_laws
from tests.report import studies

PARAMETERS = ("L_inf", "A", "alpha")


def fitted(losses: list[float]) -> dict:
    """The law of one family with these losses at six states."""
    rows = [studies.run(state=state, evals=(256,)) for state in studies.STATES]
    for row, loss in zip(rows, losses, strict=True):
        row["final"]["256"]["loss_nats"] = loss
    (entry,) = fit_laws(rows, studies.STUDY)
    return entry


def test_the_bootstraps_interval_is_told_where_there_was_one_and_a_power_law():
    entry = fit_laws(studies.small(), studies.STUDY, bootstrap=100)[0]
    low, high = (entry["bootstrap"]["alpha"][side] for side in ("low", "high"))
    assert law_words.resampled(entry) == f"[{low:.3g}, {high:.3g}]"
    assert law_words.resampled({**entry, "bootstrap": {}}) == ""
    assert law_words.resampled({**entry, "bound_hits": ["alpha"]}) == ""


@pytest.fixture(scope="module")
def step() -> dict:
    """One fall, then flat: the steepest exponent fits best."""
    return fitted([3.7, 3.3, 3.301, 3.299, 3.3, 3.302])


@pytest.fixture(scope="module")
def straight() -> dict:
    """It falls by as much a doubling everywhere: no floor."""
    return fitted([3.6 - 0.14 * i for i in range(6)])


def test_a_fit_on_the_bound_of_its_exponent_is_no_power_law(step):
    assert step["bound_hits"] == ["alpha"]
    assert step["params"]["A"]["value"] > 1e20  # what was printed as a law
    assert not law_words.has_exponent(step)
    told = [law_words.parameter(step, name) for name in PARAMETERS]
    assert told == [("–", ""), ("–", ""), ("no power law: α at its bound, 8", "")]
    assert law_words.brief(step) == "no power law"
    assert "α on its bound 8" in law_words.warnings(step)
    law = numbers.law(step, {"sd": 0.01})
    assert "left_nats" not in law
    assert "fallen_nats" not in law
    assert "no power law" in tables.laws_table([studies.run(evals=(256,))], [step])


def test_a_floor_on_its_bound_is_none_and_nothing_is_said_to_be_left(straight):
    assert straight["bound_hits"] == ["L_inf"]
    assert law_words.parameter(straight, "L_inf") == ("no floor told", "")
    alpha = straight["params"]["alpha"]["value"]
    assert law_words.parameter(straight, "alpha")[0].startswith(f"{alpha:.4g}"[:5])
    assert law_words.brief(straight) == f"no floor, α {alpha:.2f}"
    law = numbers.law(straight, {"sd": 0.01})
    assert law["fallen_nats"] == pytest.approx(0.7, abs=0.1)
    assert "left_nats" not in law


def test_an_interval_that_ends_at_the_bound_of_the_search_is_open_there(step):
    open_low = {**step, "bound_hits": [], "profiles": {"alpha": {"open_ends": ["low"]}}}
    assert law_words.parameter(open_low, "alpha")[1].startswith("[open, ")
    assert "open" not in law_words.parameter(open_low, "alpha")[1].split(",")[1]
    assert law_words.parameter(open_low, "A")[1] == "[open]"  # it follows the exponent
    closed = {**open_low, "profiles": {"alpha": {"open_ends": []}}}
    assert "open" not in law_words.parameter(closed, "alpha")[1] + law_words.parameter(closed, "A")[1]


def test_a_planted_law_is_told_in_numbers():
    floor, scale, exponent = studies.FAMILIES["power-2"]
    entry = fitted([floor + scale * state**-exponent for state in studies.STATES])
    assert law_words.parameter(entry, "L_inf")[0] == f"{floor:.3f}"
    assert law_words.brief(entry) == f"L∞ {floor:.2f}, α {exponent:.2f}"
    law = numbers.law(entry, {"sd": 0.01})
    assert law["left_nats"] == pytest.approx(scale * studies.STATES[-1] ** -exponent, rel=1e-3)


def test_no_fit_is_said_once():
    rows = [studies.run(state=state, evals=(256,)) for state in studies.STATES[:2]]
    (entry,) = fit_laws(rows, studies.STUDY)
    assert [law_words.parameter(entry, name)[0] for name in PARAMETERS] == ["–", "–", "no fit"]
