"""Curves are read before the decay, and between evaluations along the logarithm."""

from __future__ import annotations

import math

import pytest

from isostate.report import reading
from tests.report import studies

WSD = {"schedule": "wsd", "steps": 1_000, "warmup_steps": 100, "decay_share": 0.2}


def test_what_came_after_the_decay_began_is_left_out():
    row = studies.run()
    row["config"]["train"] = WSD
    assert reading.last_undecayed(row) == 820.0
    flops = [x for x, _ in reading.points(row, "flops")]
    assert flops == [pytest.approx(row["train_flops"] * step / 1_000) for step in range(100, 900, 100)]
    row["config"]["train"] = {**WSD, "schedule": "constant"}
    assert len(reading.points(row, "flops")) == 10


def test_losses_are_those_of_the_longest_context_that_was_finite():
    row = studies.run(evals=(256, 1024))
    row["curve"][1]["eval"] = {"256": 9.0, "1024": None}
    first, second = reading.points(row, "seconds")[:2]
    assert first == (row["curve"][1]["train_s"], 9.0)
    assert second[1] == row["curve"][3]["eval"]["1024"]


def test_a_run_without_times_has_no_seconds():
    row = studies.run()
    for point in row["curve"]:
        point["train_s"] = None
    assert reading.points(row, "seconds") == []
    assert reading.points(row, "flops")


def test_between_two_evaluations_the_loss_is_read_along_the_logarithm():
    points = [(10.0, 4.0), (1_000.0, 2.0)]
    assert reading.read(points, 100.0) == pytest.approx(3.0)
    assert reading.read(points, 10.0) == 4.0
    assert reading.read(points, 1_000.0) == 2.0
    assert reading.read(points, 9.0) is None
    assert reading.read(points, 1_001.0) is None
    straight = 4.0 - 2.0 * (100 - 10) / 990
    assert not math.isclose(reading.read(points, 100.0), straight, abs_tol=0.1)


def test_a_final_evaluation_over_more_text_is_not_on_one_text_with_those_before_it():
    row = studies.run(steps=1_000)
    assert reading.on_one_text(row) == row["curve"]  # nothing is said of tokens
    row["config"]["eval"] = {"n_tokens": 8_192, "final_tokens": 8_192}
    assert reading.on_one_text(row) == row["curve"]
    row["config"]["eval"]["final_tokens"] = 65_536
    assert [point["step"] for point in reading.on_one_text(row)] == [*range(50, 1_000, 50)]
