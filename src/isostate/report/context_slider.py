"""One family as the training context grows: its learning curves on the left, its loss against state on the right."""

from __future__ import annotations

from statistics import fmean
from typing import Any

from isostate.report import fits, labels, style
from isostate.report import rows as runs
from isostate.report.controls import select, shared_controls, train_context_control
from isostate.report.figures import law_traces
from isostate.report.rows import Row
from isostate.report.views import Figure, View, control, empty, figure

TITLE = "The training context makes the law"
CAPTION = (
    "Held-out loss at the longest evaluated context: in the course of training, a line a state, and at its end against "
    "state. The slider goes through the training contexts; the axes stay."
)
MARGIN = {"l": 64, "b": 52}  # pixels
SHARED = 0.05  # of the range of losses, left free above and below


def by_training_context(table: list[Row], laws: list[dict[str, Any]]) -> Figure:
    """Every size, condition and family; a slider over the training contexts."""
    finished = runs.drawn(table)
    if len(runs.train_contexts(finished)) < 2:
        words = "One training context so far: give [data] context a list to see the law change with it."
        return empty("by-context", TITLE, CAPTION, words)
    longest = max(runs.eval_contexts(finished))
    families = [(family, labels.plain(family)) for family in runs.families(finished)]
    controls = [
        *shared_controls(finished),
        control("family", "family", "select", families),
        train_context_control(finished, "slider"),
    ]

    def members(size: Any, condition: Any, family: str, train_context: int) -> list[Row]:
        chosen = runs.evaluated_at(select(finished, size, condition, train_context), longest)
        return [row for row in chosen if row["family"] == family]

    def draw(**at: Any) -> View:
        every = [row for row in finished if (row["family"], runs.size(row)) == (at["family"], at["size"])]
        group = fits.group_of(**at, eval_context=longest, every=runs.conditions(finished))
        return _view(members(**at), every, fits.find(laws, group), runs.families(finished), longest)

    return figure("by-context", TITLE, CAPTION, controls, draw, lambda **at: len(members(**at)))


def _view(members: list[Row], every: list[Row], law: dict[str, Any] | None, families: list[str], longest: int) -> View:
    if not members:
        return {"missing": "No finished run of this family and size was trained at this context."}
    family = members[0]["family"]
    look = {**style.of_family(family, families), "place": families.index(family)}
    right = [{**trace, "xaxis": "x2", "yaxis": "y2"} for trace in law_traces(family, members, law, look, longest)]
    groups = runs.by_state(members)
    data = [_curve(group, rank, len(groups), longest) for rank, group in enumerate(groups.values())]
    losses = [runs.final_loss(row, longest) for row in runs.evaluated_at(every, longest)]
    room = SHARED * (max(losses) - min(losses)) or SHARED
    steps, states = max(row["steps"] for row in every), [runs.state(row) for row in every]
    late = [y for trace in data for x, y in zip(trace["x"], trace["y"], strict=True) if x >= 0.2 * steps]
    fixed = {"automargin": False}  # two drawings that each make room for themselves never come to rest
    layout = {
        "margin": MARGIN,
        "xaxis": {**fixed, "title": {"text": "updates"}, "domain": [0.0, 0.44], "range": [0, 1.02 * steps]},
        "yaxis": {**fixed, **style.loss_axis(), "range": [min(losses) - room, max([*losses, *late]) + room]},
        "xaxis2": {
            **fixed,
            **style.log_axis("state (elements per sequence)", min(states), max(states), most=5),
            "domain": [0.56, 1.0],
            "anchor": "y2",
        },
        "yaxis2": {**fixed, "range": [min(losses) - room, max(losses) + room], "anchor": "x2"},
    }
    return {
        "data": [*data, *right],
        "layout": layout,
        "note": "Colours on the left go from small states to large ones.",
    }


def _curve(group: list[Row], rank: int, count: int, context: int) -> dict[str, Any]:
    """The mean of a state's seeds at each evaluation."""
    points: dict[int, list[float]] = {}
    for row in group:
        for point in row["curve"]:
            loss = point["eval"].get(str(context))
            if loss is not None:
                points.setdefault(point["step"], []).append(loss)
    kept = {step: fmean(losses) for step, losses in sorted(points.items()) if len(losses) == len(group)}
    name = labels.binary(runs.state(group[0]))
    look = style.of_rank(rank, count)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "legendgroup": name,
        "meta": {"family": group[0]["family"]},
        "x": list(kept),
        "y": list(kept.values()),
        "line": {"color": look["color"], "width": 1.8},
        "hoverinfo": "text",
        "hovertext": f"state {name}, {labels.plural(len(group), 'seed')}",
    }
