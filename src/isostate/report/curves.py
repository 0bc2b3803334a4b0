"""Learning curves: a line a run, finished or not, against updates, tokens or seconds."""

from __future__ import annotations

import math
from typing import Any

from isostate.report import hover, labels, style
from isostate.report import rows as runs
from isostate.report.controls import select, shared_controls, train_context_control
from isostate.report.rows import Row
from isostate.report.views import Figure, View, control, empty, figure

TITLE = "Learning curves"
CAPTION = (
    "Loss in the course of training. The loss axis opens without the first fifth, where losses fall steeply; "
    "double-click shows all. The last point of a held-out loss is the final evaluation, which may be over more text."
)


def learning_curves(table: list[Row]) -> Figure:
    """A line a run: filters by family and state, x in steps, tokens or seconds, y training or held-out loss."""
    begun = [row for row in table if row["curve"] and "family" in row]
    if not begun:
        words = "No run has begun. `isostate run` draws here as [train] log_every and [eval] every pass."
        return empty("curves", TITLE, CAPTION, words)
    evaluated = sorted({int(context) for row in begun for point in row["curve"] for context in point["eval"]})
    measures = [("train", "training loss"), *((str(c), f"held-out loss at context {c:,}") for c in evaluated)]
    states = sorted({octave(row) for row in begun})
    families = [("", "all families"), *((family, labels.plain(family)) for family in runs.families(begun))]
    state = control(
        "state", "state", "select", [("", "all states"), *((s, f"about {labels.decimal(s)}") for s in states)], "filter"
    )
    units = [("seconds", "seconds"), ("tokens", "tokens"), ("steps", "updates")]
    controls = [
        *shared_controls(begun),
        train_context_control(begun, "select"),
        control("family", "family", "select", families),
        {**state, "default": 1 + states.index(_most_shared(begun))},
        control("y", "loss", "select", measures, "swap"),
        control("x", "against", "select", units, "swap"),
    ]

    def members(size: Any, condition: Any, train_context: int, family: str) -> list[Row]:
        chosen = select(begun, size, condition, train_context)
        return [row for row in chosen if family in ("", row["family"])]

    def draw(**at: Any) -> View:
        return _curves_view(members(**at), begun, at["family"], [value for value, _ in measures])

    # the view of all families weighs most, and opens
    return figure("curves", TITLE, CAPTION, controls, draw, lambda **at: len(members(**at)))


def octave(row: Row) -> int:
    """The power of two nearest to the run's state: families meet a wanted state each as near as its own knob allows."""
    return 2 ** round(math.log2(runs.state(row)))


def _most_shared(begun: list[Row]) -> int:
    """The octave that most families were trained in; of equals the largest."""
    octaves = {octave(row) for row in begun}
    return max((len({row["family"] for row in begun if octave(row) == size}), size) for size in octaves)[1]


def _curves_view(members: list[Row], begun: list[Row], family: str, measures: list[str]) -> View:
    if not members:
        return {"missing": "No run of this family, size and training context has begun."}
    every, states = runs.families(begun), sorted({runs.state(row) for row in members})
    data, named = [], set()
    # among all families the first of a name, which the legend shows, is its largest state: the strongest line
    turn = 1 if family else -1
    for row in sorted(members, key=lambda row: (row["family"], turn * runs.state(row), row["seed"], row["run_id"])):
        rank = states.index(runs.state(row))
        look = style.of_rank(rank, len(states)) if family else style.by_colour(row["family"], every)
        name = labels.decimal(runs.state(row)) if family else labels.plotly_text(row["family"])
        opacity = 1.0 if family else 0.35 + 0.65 * rank / max(len(states) - 1, 1)
        data.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": name,
                "legendgroup": name,
                "showlegend": name not in named,
                "meta": {"family": row["family"], "state": str(octave(row))},
                "swap": _curve_columns(row, measures),
                "connectgaps": True,
                "opacity": opacity,
                "line": {
                    "color": look["color"],
                    "width": 1.8 if row["seed"] == 0 else 1.0,
                    "dash": "dot" if row["status"] == "diverged" else look["dash"],
                },
                "hoverinfo": "text",
                "hovertext": hover.of_run(row, None),
            }
        )
        named.add(name)
    title = {"legend": {"title": {"text": "state"}}} if family else {}
    unfinished = sorted({row["status"] for row in members if row["status"] != "done"})
    note = f"Runs that are not done are drawn as far as they came ({', '.join(unfinished)})."
    return {"data": data, "layout": title, "note": note if unfinished else "", "swap": _curve_axes(data, measures)}


def _curve_columns(row: Row, measures: list[str]) -> dict[str, Any]:
    points = row["curve"]
    columns = {
        "x": {
            "steps": [point["step"] for point in points],
            "tokens": [point["step"] * row["batch_tokens"] for point in points],
            "seconds": [point["train_s"] for point in points],
        },
        "y": {m: [point["eval"].get(m) for point in points] for m in measures if m != "train"},
    }
    columns["y"]["train"] = [point["train_loss_nats"] for point in points]
    return columns


def _curve_axes(data: list[dict], measures: list[str]) -> dict[str, Any]:
    """Layouts by option: titles with units, and a y range without the steep first fifth."""
    titles = {"steps": "updates", "tokens": "tokens", "seconds": "training time (seconds)"}
    ranges = {}
    last = max(step for trace in data for step in trace["swap"]["x"]["steps"])
    for measure in measures:
        late = [
            y
            for trace in data
            for x, y in zip(trace["swap"]["x"]["steps"], trace["swap"]["y"][measure], strict=True)
            if y is not None and x >= 0.2 * last
        ]
        pad = 0.05 * (max(late) - min(late)) if late else 0.0
        ranges[measure] = {"range": [min(late) - pad, max(late) + pad]} if pad else {"autorange": True}
    axes = {measure: {"yaxis": {**style.loss_axis(), **ranges[measure]}} for measure in measures}
    return {"x": {unit: {"xaxis": {"title": {"text": text}}} for unit, text in titles.items()}, "y": axes}
