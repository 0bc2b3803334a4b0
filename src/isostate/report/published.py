"""Our points beside published ones: losses by state of models of 124M parameters (questions.PUBLISHED).

Data and scale differ, so nothing is drawn over anything: two panels with as many decades across and as many nats up.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

from isostate.report import hover, labels, questions, style, traces
from isostate.report import rows as runs
from isostate.report.controls import evaluated, place_controls
from isostate.report.rows import Row
from isostate.report.views import Figure, View, empty, figure

TITLE = "Beside what was published"
CAPTION = (
    "Mean losses of this study, and losses at a context of 4,096 published of models of 124M parameters (ours are "
    "counted without the embedding). Data, tokenizer and scale differ, so only order and slope compare, not values: "
    "both panels begin at their smallest state and highest loss, and span the same decades across and the same nats up."
)
ROOM = 0.1  # of a span, on either side
PLACES = ("top right", "bottom left", "top right", "bottom center", "top center")  # of names beside the points
HEADED = "<b>Published</b> 124M parameters, context 4,096"


Ends = tuple[float, float]


def beside_published(table: list[Row]) -> Figure:
    """Every combination of size, contexts and condition; the published panel is always there."""
    finished = runs.drawn(table)
    if not finished:
        words = "No run has finished yet, so there is nothing to hold beside the published points."
        return empty("published", TITLE, CAPTION, words)
    controls = place_controls(finished)

    def draw(**at: Any) -> View:
        return _view(evaluated(finished, **at), finished, at["eval_context"])

    return figure("published", TITLE, CAPTION, controls, draw, lambda **at: len(evaluated(finished, **at)))


def _view(members: list[Row], finished: list[Row], context: int) -> View:
    if not members:
        return {"missing": "No finished run here: this size was not trained at this context, or not evaluated at it."}
    every, points = runs.families(finished), questions.published()
    data: list[dict[str, Any]] = []
    slopes = []
    for family in runs.families(members):
        groups = runs.by_state(row for row in members if row["family"] == family)
        means = {state: fmean(runs.final_loss(row, context) for row in group) for state, group in groups.items()}
        data += _ours(family, groups, means, style.of_family(family, every), context)
        if len(means) > 1:
            slopes.append(f"{labels.plain(family)} {questions.a_doubling(means):.3f}")
    data += [{**trace, "xaxis": "x2", "yaxis": "y2"} for trace in _theirs(points, every)]
    losses = [runs.final_loss(row, context) for row in members]
    here, there = _spans(
        [[float(runs.state(row)) for row in members], [point["state"] for point in points]],
        [losses, [point["loss"] for point in points]],
    )
    layout = {
        "xaxis": style.decimal_axis("state (elements per sequence)", *here[0]),
        "xaxis2": style.decimal_axis("state (elements)", *there[0]),
        "yaxis": {**style.loss_axis(), "range": list(here[1])},
        "yaxis2": {"range": list(there[1])},
    }
    size = runs.size_count(finished, runs.size(members[0]))
    trained = members[0]["train_context"]
    head = f"<b>Here</b> {size} parameters, trained at {trained:,}, evaluated at {context:,}"
    panels = {"titles": [head, HEADED], "columns": 2, "narrow": 1, "shared": False}
    between = [f"{point['nats_a_doubling_from_the_last']:.3f}" for point in points[1:]]
    note = f"Nats gained a doubling of state. Published, from each point to the next: {labels.listing(between)}."
    if slopes:
        note += f" Here, from each family's smallest state to its largest: {labels.listing(slopes)}."
    return {"data": data, "layout": layout, "note": note, "panels": panels}


def _ours(
    family: str, groups: dict[int, list[Row]], means: dict[int, float], look: dict[str, str], context: int
) -> list[dict[str, Any]]:
    name = labels.plotly_text(family)
    shared = {"legendgroup": name, "meta": {"family": family}}
    texts = [hover.of_mean(group, context, None) for group in groups.values()]
    dots = traces.points(list(means), list(means.values()), traces.marker(look["symbol"], look["color"], 5.0), texts)
    line = traces.line(list(means), list(means.values()), look, width=1.5)
    return [{**trace, **shared} for trace in (traces.legend_entry(name, look), line, dots)]


def _theirs(points: list[dict[str, Any]], every: list[str]) -> list[dict[str, Any]]:
    """Points named where they stand, in the colour of the family here that is alike, on a line of their own."""
    xs, ys = [point["state"] for point in points], [point["loss"] for point in points]
    alike = [next((name for name in (p["family"], p["family"] + style.GATED) if name in every), None) for p in points]
    looks = [style.of_family(name, every) if name else {"color": style.NEUTRAL, "symbol": "circle"} for name in alike]
    texts = []
    for point in points:
        slope = point["nats_a_doubling_from_the_last"]
        gained = "" if slope is None else f"<br>{slope:.3f} nats gained a doubling since the last"
        words = f"{labels.loss(point['loss'])} nats, state {labels.decimal(point['state'])}"
        texts.append(f"<b>{point['family']}</b>, published<br>{words}{gained}")
    marks = traces.marker([look["symbol"] for look in looks], [look["color"] for look in looks], 9.0)
    named = {
        "mode": "markers+text",
        "text": [point["family"] for point in points],
        "textposition": [PLACES[i % len(PLACES)] for i in range(len(points))],
        "cliponaxis": False,
    }
    line = traces.line(xs, ys, {"color": style.NEUTRAL, "dash": "dot"}, width=1.2)
    return [{**trace, "meta": {"family": ""}} for trace in (line, {**traces.points(xs, ys, marks, texts), **named})]


def _spans(states: list[list[float]], losses: list[list[float]]) -> list[tuple[Ends, Ends]]:
    """For each panel the ends of its axes: both begin at their smallest state and highest loss, and go equally far."""
    decades = max(math.log10(max(s) / min(s)) for s in states)
    nats = max(max(values) - min(values) for values in losses) or 1.0
    return [
        (
            (min(s) * 10 ** (-ROOM * decades), min(s) * 10 ** ((1 + ROOM) * decades)),
            (max(values) - (1 + ROOM) * nats, max(values) + ROOM * nats),
        )
        for s, values in zip(states, losses, strict=True)
    ]
