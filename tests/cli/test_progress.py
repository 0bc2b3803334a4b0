"""isostate.cli.progress."""

from __future__ import annotations

import json

import pytest

from isostate.cli.progress import Board, JsonDisplay, LineDisplay, LiveDisplay, text_of

FACTS = {"family": "window", "train_context": 16, "seed": 0, "lr": 0.01, "state": {"elements": 2048}}
ROWS = [{**FACTS, "run_id": name, "predicted_s": 10.0} for name in "abc"]
PLAN = {"event": "plan", "runs": ROWS, "missing": ["a", "b"], "jobs": 2, "rates": {}}
LABEL = "window 2,048 context 16 seed 0 lr 0.01"


class Clock:
    def __init__(self):
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def step(run_id: str, at: int) -> dict:
    return {"event": "step", "run_id": run_id, "worker": 0, "step": at, "steps": 10, "loss_nats": 2.0}


def test_before_anything_ran_the_time_left_is_the_plans():
    board = Board(Clock())
    board.note(PLAN)
    assert board.left_s() == pytest.approx(10.0)


def test_the_time_left_follows_how_the_predictions_hold():
    clock = Clock()
    board = Board(clock)
    board.note(PLAN)
    for run_id in "ab":
        board.note({"event": "start", "run_id": run_id, "step": 0, "steps": 10})
    clock.time = 10.0
    for run_id in "ab":
        board.note(step(run_id, 5))  # half the work in the time that was predicted for all of it
    assert board.left_s() == pytest.approx(10.0)


def test_what_a_run_had_before_it_was_cut_does_not_count_as_fast():
    clock = Clock()
    board = Board(clock)
    board.note(PLAN)
    board.note({"event": "start", "run_id": "a", "step": 8, "steps": 10})
    clock.time = 1.0
    board.note({"event": "start", "run_id": "b", "step": 0, "steps": 10})
    assert board.left_s() == pytest.approx((2.0 + 10.0) / 2)


def test_runs_of_a_later_stage_count_and_are_announced():
    board = Board(Clock())
    plan = {**PLAN, "runs": [*ROWS, {**FACTS, "run_id": None, "predicted_s": 40.0}]}
    board.note(plan)
    assert board.left_s() == pytest.approx(30.0)
    assert (
        text_of(plan, board)
        == "2 runs to train with 2 at a time, 1 have their results already (more once rates are tuned)"
    )


@pytest.mark.parametrize(
    "event, text",
    [
        ({"event": "notice", "message": "m"}, "note: m"),
        ({"event": "warning", "run_id": "a", "message": "m"}, f"warning: {LABEL}: m"),
        (
            {"event": "died", "run_id": "a", "worker": 1, "message": "killed (SIGKILL)"},
            f"died: {LABEL}: worker 1 killed (SIGKILL); run the same command to train it again",
        ),
        (
            {"event": "finished", "run_id": "a", "status": "diverged"},
            f"diverged: {LABEL}: its record says where; --retry-diverged trains it again",
        ),
        (step("a", 1), None),
    ],
)
def test_what_a_person_wants_to_keep_is_a_line(event, text):
    board = Board(Clock())
    board.note(PLAN)
    assert text_of(event, board) == text


def test_lines_come_now_and_then(capsys):
    clock = Clock()
    display = LineDisplay(clock)
    display(PLAN)
    for second in range(1, 40):
        clock.time = second
        display(step("a", 5))
    display({"event": "finished", "run_id": "a", "worker": 0, "status": "done"})
    display.close()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 2 + 1
    assert lines[-1] == f"done 1/2: {LABEL}"


def test_json_is_every_event(capsys):
    display = JsonDisplay()
    for event in (PLAN, step("a", 1)):
        display(event)
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [PLAN, step("a", 1)]


def test_bars_follow_the_workers():
    display = LiveDisplay()
    try:
        for event in (PLAN, step("a", 5), {"event": "died", "run_id": "a", "worker": 0, "message": "killed"}):
            display(event)
        (total,) = display._progress.tasks
        assert total.completed == pytest.approx(0.5)
    finally:
        display.close()
