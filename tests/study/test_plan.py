"""isostate.study.plan."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.records import RunDirectory
from isostate.study import plan as planning
from isostate.study.calibrate import StepTime, shape_of
from isostate.study.plan import check_study, make_plan, makespan, predicted_s, prepare_data
from tests.study import tiny


@pytest.fixture(autouse=True)
def steps_take_a_tenth_of_a_second(monkeypatch):
    monkeypatch.setattr(
        planning, "step_times", lambda cells, cache: {shape_of(cell.config): StepTime(0.1, True) for cell in cells}
    )


def result_in(folder):
    return lambda run_id: RunDirectory(folder / "tiny" / run_id).result()


def plan_of(folder, **tables):
    study = tiny.study(tiny.corpus(folder / "text"), **tables)
    data = prepare_data(study, folder / "cache")
    return make_plan(study, data, result_in(folder), folder / "steps.json", "tiny.toml")


def test_a_plan_has_a_row_a_run_with_what_it_costs(tmp_path):
    rows = plan_of(tmp_path).rows()
    assert [row["family"] for row in rows] == ["window", "window", "power-2"]
    assert [(row["wanted_state"], row["state"]["elements"]) for row in rows[:2]] == [(128, 128), (256, 256)]
    assert all(row["train_flops"] > 0 and row["peak_bytes"] > 0 and row["predicted_s"] > 1.0 for row in rows)
    assert len({row["run_id"] for row in rows}) == 3
    assert not (tmp_path / "tiny").exists()


def test_a_run_costs_its_updates_and_a_third_of_them_a_token_evaluated(tmp_path):
    (cell, *_) = plan_of(tmp_path).cells
    # 10 updates of 32 tokens; at two contexts one evaluation of 64 tokens between and 128 at the end
    assert predicted_s(cell.config, 0.1) == pytest.approx(0.1 * (10 + 2 * (64 + 128) / 32 / 3))


def end_with_its_rate(folder, cell):
    """The lower the rate the better."""
    run = RunDirectory(folder / "tiny" / cell.run_id).create(cell.config.to_dict())
    run.write_result({"status": "done", "final": {"32": {"loss_nats": cell.config.train.lr}}})


def test_until_a_family_is_tuned_a_plan_knows_its_tuning_runs_alone(tmp_path):
    tune = {"train": {"lr": "tune", "lr_grid": [0.01, 0.02]}}
    plan = plan_of(tmp_path, **tune)
    assert not plan.settled
    assert [cell.role for cell in plan.known] == ["tune"] * 4
    assert [row["lr"] for row in plan.rows()] == [0.01, 0.02, 0.01, 0.02, None, None, None]
    for cell in plan.tuning[:2]:
        end_with_its_rate(tmp_path, cell)
    windows = plan_of(tmp_path, **tune)
    assert not windows.settled
    assert windows.rates == {"window": {4: 0.01}}
    assert [(row["family"], row["lr"]) for row in windows.rows()] == [
        ("window", 0.01), ("window", 0.02), ("power-2", 0.01), ("power-2", 0.02), ("window", 0.01), ("power-2", None),
    ]  # fmt: skip
    for cell in plan.tuning[2:]:
        end_with_its_rate(tmp_path, cell)
    settled = plan_of(tmp_path, **tune)
    assert settled.settled
    assert settled.rates == {"window": {4: 0.01}, "power-2": {4: 0.01}}
    assert len(settled.known) == 4 + 3 - 2  # of each family the winner is a cell too
    assert all(row["lr"] for row in settled.rows())


def test_a_law_that_the_report_cannot_fit_is_refused_before_anything_runs():
    with pytest.raises(UserError, match=r'law = "stat": no such law of a study; known: state \(did you mean "state"'):
        check_study(tiny.file(fit=[{"law": "stat"}]), ["state"])


def test_an_impossible_rate_of_the_grid_is_refused_before_anything_runs():
    with pytest.raises(UserError, match="weight_decay"):
        check_study(tiny.file(train={"lr": "tune", "lr_grid": [0.01, 9.0], "weight_decay": 0.5}), ["state"])


def test_a_text_too_short_for_an_evaluation_is_refused_before_anything_runs(tmp_path):
    study = tiny.study(
        tiny.corpus(tmp_path / "text"), eval={"contexts": [16, 60_000], "n_tokens": 60_000, "final_tokens": 60_000}
    )
    with pytest.raises(UserError, match="context 60000: the heldout split is too short"):
        prepare_data(study, tmp_path / "cache")


def test_the_longest_runs_first_fill_the_workers():
    assert makespan([1.0, 1.0, 2.0], 2) == 2.0
    assert makespan([1.0, 1.0, 2.0], 1) == 4.0
    assert makespan([3.0, 3.0, 2.0, 2.0, 2.0], 2) == 7.0  # greedy: 6 is possible


def test_every_text_is_prepared_and_has_a_fingerprint_of_its_own(tmp_path):
    study = tiny.study(tiny.corpus(tmp_path / "text"), text=[{}, {"dilution": 1}])
    data = prepare_data(study, tmp_path / "cache")
    assert len({text.fingerprint for text in data.values()} - {""}) == 2
    plan = make_plan(study, data, result_in(tmp_path), tmp_path / "steps.json", "tiny.toml")
    assert {cell.config.data.fingerprint for cell in plan.cells} == {text.fingerprint for text in data.values()}
    assert {row["corpus"] for row in plan.rows()} == set(data)
    other = dict.fromkeys(data, "0" * 64)
    with pytest.raises(UserError, match="is not what this run was planned with"):
        prepare_data(study, tmp_path / "cache", other)
