"""Runs read on the way: their loss after so many FLOPs or seconds, while the learning rate had not yet decayed.

Seconds are those of the machine that trained, or those that the cost model predicts of an A100.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from isostate.report.rows import Row

Axis = Literal["flops", "seconds", "a100"]
A100 = "predicted_a100_step_s"
Points = list[tuple[float, float]]  # (FLOPs or seconds, loss at the longest context), by the first


def points(row: Row, axis: Axis) -> Points:
    """The evaluations of a run before its decay; none of a run without a curve.

    A decay takes a run's loss down by more than states differ: what had decayed does not compare with what had not.
    """
    until = last_undecayed(row)
    found: Points = []
    for point in row["curve"]:
        finite = {int(context): loss for context, loss in point["eval"].items() if loss is not None}
        x = _at(row, point, axis)
        if finite and point["step"] <= until and x is not None:
            found.append((x, finite[max(finite)]))
    return found


def on_one_text(row: Row) -> list[Row]:
    """The points of a run's curve whose held-out losses are over the same tokens.

    All of them but the last, where [eval] takes another number of tokens after the last update than on the way.
    """
    told = row["config"].get("eval", {})
    alike = told.get("n_tokens") == told.get("final_tokens")
    return [point for point in row["curve"] if alike or point["step"] < row["steps"]]


def _at(row: Row, point: Row, axis: Axis) -> float | None:
    """Where a point of a run's curve stands on the axis; None where its time was not taken."""
    if axis == "seconds":
        return None if point["train_s"] is None else float(point["train_s"])
    return float(point["step"] * (row[A100] if axis == "a100" else row["train_flops"] / row["steps"]))


def last_undecayed(row: Row) -> float:
    """The last update at the peak of the rate: schedules wsd and constant have one; of others every update counts."""
    train = row["config"].get("train", {})
    if train.get("schedule") != "wsd":
        return float(row["steps"])
    return float(train["steps"] - train["decay_share"] * (train["steps"] - train["warmup_steps"]))


def read(at: Points, x: float) -> float | None:
    """The loss at x, between two evaluations along the logarithm of x; None before the first or after the last."""
    for x_there, loss in at:
        if x_there == x:
            return loss
    for (left, before), (right, after) in pairwise(at):
        if left < x < right:
            share = math.log(x / left) / math.log(right / left)
            return before + share * (after - before)
    return None
