"""isostate.study.session: real workers, tiny models."""

from __future__ import annotations

import pytest

from isostate.records import RunDirectory, newest_valid_checkpoint, table
from isostate.study.plan import prepare_data
from isostate.study.remember import finished, plan_of
from isostate.study.session import Session, carry_out
from tests.study import tiny


@pytest.fixture
def go(tmp_path):
    """go(**tables of the study) -> (outcome, events), in one folder."""
    text = tiny.corpus(tmp_path / "text")

    def run(retry_diverged: bool = False, **tables):
        study, file = tiny.study(text, **tables), tiny.file(text, **tables)
        cache = tmp_path / "cache"
        data = prepare_data(study, cache / "data")
        run.study_dir.mkdir(exist_ok=True)
        events: list[dict] = []
        session = Session(
            file, study, data, run.study_dir, cache, 1, retry_diverged, events.append, should_stop=lambda: False
        )
        outcome = carry_out(session)
        run.finished = finished(run.study_dir, plan_of(run.study_dir, file))
        return outcome, events

    run.study_dir = tmp_path / "tiny"
    return run


def trained(events) -> list[str]:
    return [event["run_id"] for event in events if event["event"] == "start"]


@pytest.mark.slow
def test_tuning_comes_first_and_its_winners_are_not_trained_again(go):
    outcome, events = go(train={"lr": "tune", "lr_grid": [0.001, 0.01]})
    assert set(outcome.statuses.values()) == {"done"}
    first, second = [event for event in events if event["event"] == "plan"]
    assert [len(first["missing"]), len(second["missing"])] == [4, 1]
    assert len(trained(events)) == len(set(trained(events))) == 5
    assert second["rates"].keys() == {"window", "power-2"}
    assert go.finished
    notices = [event["message"] for event in events if event["event"] == "notice"]
    assert len(notices) == len(set(notices)) == 2  # of each family, that its best rate is an end of the grid


@pytest.mark.slow
def test_a_family_whose_rates_are_found_trains_beside_the_tuning_of_another(go):
    """The windows are tuned already, at their middle one: the new window need not wait for power's rates."""
    power = {"mixer": "power", "degree": 2, "head_dim": 4}
    tune = {"lr": "tune", "lr_grid": [0.001, 0.01]}
    go(train=tune, sweep=[{"mixer": "window", "window": [2, 4, 8]}])
    _, events = go(train=tune, sweep=[{"mixer": "window", "window": [2, 4, 8, 16]}, power])
    first, second = [event for event in events if event["event"] == "plan"]
    families = {row["run_id"]: row["family"] for row in first["runs"]}
    assert sorted(families[run_id] for run_id in first["missing"]) == ["power-2", "power-2", "window"]
    assert first["rates"].keys() == {"window"}
    assert second["missing"] == []
    assert go.finished


@pytest.mark.slow
def test_a_new_state_size_trains_its_own_cells_alone_and_what_is_no_longer_asked_for_is_said_to_stay(go):
    go(sweep=[{"mixer": "window", "state_size": [128]}])
    assert go.finished
    _, events = go(sweep=[{"mixer": "window", "state_size": [128, 256]}])
    assert len(trained(events)) == 1
    assert len(table(go.study_dir)) == 2
    _, events = go(sweep=[{"mixer": "window", "state_size": [256]}])
    assert trained(events) == []
    (notice,) = [event["message"] for event in events if event["event"] == "notice"]
    assert "holds 1 runs that the study file no longer asks for" in notice


@pytest.mark.slow
def test_a_run_that_another_study_here_has_done_is_copied_and_not_trained_again(go, tmp_path):
    go(sweep=[{"mixer": "window", "state_size": [128, 256]}])
    first, second = (row["run_id"] for row in table(go.study_dir))
    other = go.study_dir.rename(tmp_path / "other")
    (other / second / "result.json").write_text("{")
    _, events = go(sweep=[{"mixer": "window", "state_size": [128, 256]}])
    assert trained(events) == [second]
    (notice,) = [event["message"] for event in events if event["event"] == "notice"]
    assert notice == f"1 of 2 runs are copies: other studies in {tmp_path} have them done"
    assert go.finished
    for name in ("result.json", "metrics.jsonl", "events.jsonl"):
        assert (go.study_dir / first / name).read_bytes() == (other / first / name).read_bytes()
    (copied, problems), (original, _) = (newest_valid_checkpoint(at / first) for at in (go.study_dir, other))
    assert (copied.name, problems) == (original.name, [])


@pytest.mark.slow
def test_a_diverged_run_is_a_result_and_trained_again_only_when_asked_for(go):
    tables = {"sweep": [{"mixer": "window", "window": 4}], "model": {"norm": "rms"}}
    go(**tables)
    (row,) = table(go.study_dir)
    (go.study_dir / row["run_id"] / "result.json").unlink()
    RunDirectory(go.study_dir / row["run_id"]).write_result({"run_id": row["run_id"], "status": "diverged"})
    _, events = go(**tables)
    assert trained(events) == []
    outcome, events = go(retry_diverged=True, **tables)
    assert trained(events) == [row["run_id"]]
    assert outcome.statuses == {row["run_id"]: "done"}
    assert [entry["event"] for entry in RunDirectory(go.study_dir / row["run_id"]).events()] == ["started", "done"]
