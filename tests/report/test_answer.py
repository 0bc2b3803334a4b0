from __future__ import annotations

from isostate.report.answer import answer
from isostate.report.fits import fit_laws
from tests.report import studies


def told(table):
    return answer(table, fit_laws(table, studies.STUDY))


def sweep(family, states=studies.STATES, shift=0.0, seeds=(0, 1)):
    table = [studies.run(family, state=state, seed=seed) for state in states for seed in seeds]
    for row in table:
        for final in row["final"].values():
            final["loss_nats"] += shift
    return table


def test_the_family_with_the_lowest_loss_at_equal_state_is_named():
    text = told(sweep("power-2") + sweep("linear"))
    assert text.startswith("At equal state power-2 has the lowest loss from 2.05K to 65.5K elements.")
    assert "Nowhere in that range does the 95 % interval of another family overlap" in text
    assert (
        "65.5K parameters without embedding (2 layers, width 64), trained at context 256, evaluated at 1,024." in text
    )


def test_the_numbers_are_those_of_the_laws():
    table = sweep("power-2") + sweep("linear")
    fits = fit_laws(table, studies.STUDY)
    key = ("power-2", 1_024)
    params = next(f["params"] for f in fits if (f["group"]["family"], f["group"]["eval_context"]) == key)
    law = params["L_inf"]["value"] + params["A"]["value"] * 8_192 ** -params["alpha"]["value"]
    named = told(table).split("At 8.19K the law of power-2 gives ")[1]
    assert abs(float(named[:5]) - law) < 0.002


def test_overlapping_intervals_are_said_to_overlap():
    twin = [{**row, "family": "twin"} for row in sweep("power-2", seeds=(2, 3))]
    text = told(sweep("power-2") + twin)
    assert "everywhere: there the order is not settled" in text


def test_alarms_on_the_laws_compared_are_pointed_at():
    table = sweep("power-2", studies.STATES[:5], seeds=(0,)) + sweep("linear")
    assert "Mind the alarms on the law of power-2, in the table of laws." in told(table)


def test_a_crossing_is_said_with_its_place():
    text = told(sweep("softmax") + sweep("linear", shift=-0.1))
    assert "depends on the state: linear at 2.05K elements and softmax from about " in text


def test_families_are_compared_only_where_both_were_trained():
    text = told(sweep("power-2", studies.STATES[:5]) + sweep("linear", studies.STATES[1:]))
    assert "from 4.1K to 32.8K elements" in text


def test_families_without_a_shared_state_are_not_ranked():
    small, large = (512, 1_024, 1_448, 2_048), (8_192, 16_384, 32_768, 65_536)
    text = told(sweep("power-2", small) + sweep("linear", large))
    assert "No two families were trained at an equal state" in text


def test_without_laws_means_are_compared_and_no_order_is_claimed():
    text = told(sweep("power-2", (2_048, 8_192)) + sweep("linear", (2_048, 8_192)))
    assert text.startswith("Too few laws could be fitted")
    assert "at about 8.19K elements of state the mean losses are power-2 " in text
    assert "not settled" in text


def test_one_family_is_described():
    assert told(sweep("power-2")).startswith("The loss of power-2 falls from ")


def test_nothing_finished_is_no_answer():
    assert told([studies.pending(), studies.diverged()]).startswith("No run has finished yet")


def test_the_place_with_the_most_runs_is_answered_for():
    table = sweep("power-2") + [studies.run(size=studies.SIZES[1], state=s) for s in studies.STATES]
    assert "65.5K parameters without embedding" in told(table)


def test_states_that_round_alike_are_said_once():
    table = sweep("power-2") + sweep("linear", shift=0.1)
    entries = fit_laws(table, studies.STUDY)
    for entry in entries:  # the intervals touch at one state of the grid alone
        first = entry["group"]["family"] == "power-2"
        y, low, high = (3.0, 2.9, 3.1) if first else (3.5, 3.2, 3.6)
        curve = {"x": [1.0, 2_047.0, 2_048.0, 2_049.0, 1e6], "y": [y] * 5, "low": [low] * 5, "high": [high] * 5}
        curve["low"][2] = 2.95 if first else 3.05
        entry["curve"] = curve
    text = answer(table, entries)
    assert "overlaps that of linear at about 2.05K: there the order is not settled" in text
    assert "between" not in text
