"""Loss by position in context: what a model makes of what it has seen."""

from __future__ import annotations

import itertools
import math
from statistics import fmean
from typing import Any

from isostate.report import hover, labels, style, traces
from isostate.report import rows as runs
from isostate.report.controls import eval_context_control, select, shared_controls, train_context_control
from isostate.report.rows import Row
from isostate.report.views import Figure, View, control, empty, figure

TITLE = "Loss by position in context"
CAPTION = (
    "Held-out loss by how many tokens the model has seen before. A model that uses its state keeps improving; the "
    "vertical line is the training context."
)


def loss_by_position(table: list[Row]) -> Figure:
    """A line a family (its largest state) or a state of one family; slider over the training context."""
    finished = [row for row in runs.drawn(table) if any("by_position" in final for final in row["final"].values())]
    if not finished:
        words = (
            "No finished run has losses by position. Any [eval] contexts fill this figure; several training contexts "
            "([data] context) fill its slider."
        )
        return empty("position", TITLE, CAPTION, words)
    families = [(family, labels.plain(family)) for family in runs.families(finished)]
    controls = [
        *shared_controls(finished),
        control("family", "family", "select", [*families, ("", "all, largest state each")]),
        eval_context_control(finished),
        train_context_control(finished, "slider"),
    ]

    def members(size: Any, condition: Any, family: str, eval_context: int, train_context: int) -> list[Row]:
        chosen = runs.evaluated_at(select(finished, size, condition, train_context), eval_context)
        return [row for row in chosen if family in ("", row["family"])]

    def draw(**at: Any) -> View:
        return _position_view(members(**at), finished, at["family"], at["eval_context"], at["train_context"])

    return figure("position", TITLE, CAPTION, controls, draw, lambda **at: len(members(**at)))


def _position_view(members: list[Row], finished: list[Row], family: str, context: int, trained: int) -> View:
    if not members:
        return {"missing": "No finished run of this family and size was trained at this context and evaluated at that."}
    every = runs.families(finished)
    lines = []
    for name in runs.families(members):
        groups = runs.by_state(row for row in members if row["family"] == name)
        lines += list(groups.items()) if family else [max(groups.items())]
    data = []
    for rank, (size, group) in enumerate(lines):
        look = style.of_rank(rank, len(lines)) if family else style.by_colour(group[0]["family"], every)
        name = labels.decimal(size) if family else labels.plotly_text(f"{group[0]['family']}, {labels.decimal(size)}")
        edges = group[0]["final"][str(context)]["by_position"]["edges"]
        losses = [row["final"][str(context)]["by_position"]["loss_nats"] for row in group]
        means = [None if None in column else fmean(column) for column in zip(*losses, strict=True)]
        data.append(
            {
                "type": "scatter",
                "mode": "lines+markers",
                "name": name,
                "meta": {"family": group[0]["family"]},
                # geometric middle of the positions lo+1 .. hi that a bin joins
                "x": [math.sqrt((lo + 1) * hi) for lo, hi in itertools.pairwise(edges)],
                "y": means,
                "line": {"color": look["color"], "width": 2, "dash": look["dash"]},
                "marker": {"symbol": look["symbol"], "color": look["color"], "size": 6},
                "text": hover.of_positions(edges),
                "hovertemplate": hover.around_positions(group, context),
            }
        )
    layout = {
        "xaxis": style.log_axis("position in context (tokens)", 1, context),
        "yaxis": style.loss_axis(),
        "shapes": [traces.level("x", trained)],
        **({"legend": {"title": {"text": "state"}}} if family else {}),
    }
    return {"data": data, "layout": layout, "note": ""}
