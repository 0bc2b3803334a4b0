"""What the five questions ask, on records in which the answer was planted."""

from __future__ import annotations

import math

import pytest
from scipy.stats import t as student

from isostate.report import questions
from tests.report import studies


def test_families_are_compared_where_their_states_are_equal():
    rows = [studies.run(family, state=state) for family in ("power-2", "window") for state in studies.STATES]
    rows += [studies.run("linear", state=3_000)]
    told = questions.at_equal_state(rows)
    assert [entry["state"] for entry in told] == sorted([*studies.STATES, *studies.STATES])
    losses = {row["family"]: row["final"]["1024"]["loss_nats"] for row in rows if row["state"]["elements"] == 8_192}
    assert told[4]["losses"] == losses
    assert all("linear" not in entry["losses"] for entry in told)


def planted_u(context: int, state: int) -> dict:
    """The best training context of every state is 256."""
    row = studies.run(state=state, context=context)
    row["final"]["1024"]["loss_nats"] = 3 + abs(math.log2(context / 256)) - 0.1 * math.log2(state)
    return row


def test_the_best_training_context_of_a_state_is_found_and_whether_it_lies_inside():
    rows = [planted_u(context, state) for context in (64, 256, 1024) for state in (2_048, 8_192)]
    told = next(entry for entry in questions.contexts(rows) if entry["eval_context"] == 1024)
    assert told["best_train_context_by_state"] == {"2048": 256, "8192": 256}
    assert told["share_of_states_with_an_interior_best"] == 1.0
    assert told["best_state_by_train_context"] == {"64": 8_192, "256": 8_192, "1024": 8_192}


def test_who_is_behind_softmax_by_how_much():
    rows = [studies.run("softmax", state=65_536), *(studies.run("power-2", state=state) for state in (2_048, 8_192))]
    told = next(entry for entry in questions.against_softmax(rows) if entry["eval_context"] == 1024)
    behind = told["families"]["power-2"]
    want = rows[2]["final"]["1024"]["loss_nats"] - rows[0]["final"]["1024"]["loss_nats"]
    assert behind == {"state": 8_192, "behind_nats": pytest.approx(want)}


def test_at_a_compute_the_best_is_taken_from_the_curves():
    rows = [studies.run(size=size, state=state) for size in studies.SIZES for state in (2_048, 65_536)]
    budgets = questions.budgets_of(rows, 2)
    assert budgets == [rows[0]["train_flops"], pytest.approx(rows[2]["train_flops"])]
    low, high = questions.at_compute(rows, budgets)
    small = [row for row in rows if row["n_layers"] == 2]
    assert low["parameters"] in {row["n_params"]["non_embedding"] for row in rows}
    assert low["runs"] == 4
    large_step = rows[2]["train_flops"] / rows[2]["steps"]
    reached = int(budgets[0] / large_step) // 100 * 100  # evaluated every 100 updates
    want = min(
        *(row["curve"][-1]["eval"]["1024"] for row in small),
        *(point["eval"]["1024"] for row in rows[2:] for point in row["curve"] if point["step"] == reached),
    )
    assert low["loss"] == want
    assert high["state_over_parameters"] == high["state"] / high["parameters"]


def test_at_each_budget_the_best_setting_so_far():
    rows = [planted_u(context, state) for context in (64, 256) for state in (2_048, 8_192)]
    told = questions.at_budgets(rows, "here")
    last = told[-1]
    final = {(row["train_context"], row["state"]["elements"]): row["curve"][-1]["eval"]["1024"] for row in rows}
    assert last["loss"] == min(final.values())
    assert final[last["train_context"], last["state"]] == last["loss"]
    assert told[0]["settings"] < last["settings"] == 4


def test_at_each_budget_nothing_is_read_after_its_rate_decayed():
    rows = [studies.run(state=state, predicted_a100_step_s=1e-3 * state) for state in (2_048, 65_536)]
    for row in rows:
        row["config"]["train"] = {"schedule": "wsd", "steps": 1_000, "warmup_steps": 0, "decay_share": 0.5}
    small, large = (row["curve"][9]["eval"]["1024"] for row in rows)
    assert large < small
    for clock in ("here", "a100"):
        last = questions.at_budgets(rows, clock)[-1]
        assert (last["state"], last["loss"], last["settings"]) == (65_536, large, 2)
    assert questions.at_budgets(rows, "a100")[-1]["seconds"] == pytest.approx(0.5 * 1_000 * 65.536, rel=0.05)


def test_at_each_budget_seeds_are_averaged():
    rows = [studies.run(seed=seed) for seed in (0, 1, 2)]
    last = questions.at_budgets(rows, "here")[-1]
    assert last["loss"] == pytest.approx(sum(row["curve"][-1]["eval"]["1024"] for row in rows) / 3)


def test_texts_are_compared_by_what_a_doubling_of_state_gains_answers_apart():
    rows = []
    for text, slope in (("bard", 0.05), ("bard + recall", 0.2)):
        for state in (2_048, 8_192):
            row = {**studies.run(state=state, evals=(256,)), "corpus": text}
            row["final"]["256"]["loss_nats"] = 5 - slope * math.log2(state)
            if "recall" in text:
                row["final"]["256"]["parts"] = {"answers": {"loss_nats": 20 - math.log2(state), "n_tokens": 9}}
            rows.append(row)
    told = {(entry["text"], entry["part"]): entry["nats_a_doubling"] for entry in questions.by_text(rows)}
    assert told == {
        ("bard", "all"): pytest.approx(0.05),
        ("bard + recall", "all"): pytest.approx(0.2),
        ("bard + recall", "answers"): pytest.approx(1.0),
    }


def test_what_a_doubling_gains_has_an_interval_where_seeds_were_repeated():
    rows = [studies.run(state=state, seed=seed, evals=(256,)) for state in (2_048, 32_768) for seed in (0, 1)]
    for row in rows:
        row["final"]["256"]["loss_nats"] = 5 - 0.1 * math.log2(row["state"]["elements"]) + 0.01 * row["seed"]
    (told,) = questions.by_text(rows)
    found = told["interval"]
    assert found["value"] == pytest.approx(told["nats_a_doubling"]) == pytest.approx(0.1)
    half = student.ppf(0.975, 2) * math.sqrt(0.01**2 / 2) / 4  # of a difference of means of two, over four doublings
    assert found["high"] - found["value"] == pytest.approx(half, rel=0.15)
    (told,) = questions.by_text([row for row in rows if row["seed"] == 0])
    assert told["interval"]["low"] is told["interval"]["high"] is None


def test_the_published_points_fall_less_and_less_a_doubling():
    points = questions.published()
    slopes = [point["nats_a_doubling_from_the_last"] for point in points]
    assert slopes[0] is None
    assert slopes[1] == pytest.approx((2.961 - 2.476) / math.log2(19.5 / 0.60))
    assert slopes[1:] == sorted(slopes[1:], reverse=True)


def test_a_study_is_asked_what_it_varies():
    one = questions.answers([studies.run(state=state) for state in studies.STATES])
    assert one.keys() == {"at_equal_state", "at_budgets"}
    full = questions.answers(studies.full())
    assert {"contexts", "against_softmax", "at_compute"} <= full.keys()


def test_at_a_compute_nothing_is_read_after_its_rate_decayed():
    row = studies.run()
    row["config"]["train"] = {"schedule": "wsd", "steps": 1_000, "warmup_steps": 0, "decay_share": 0.5}
    (told,) = questions.at_compute([row], [row["train_flops"]])
    assert told["loss"] == next(point for point in row["curve"] if point["step"] == 500)["eval"]["1024"]
    assert told["loss"] > row["curve"][-1]["eval"]["1024"]
