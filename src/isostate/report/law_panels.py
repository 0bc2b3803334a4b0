"""A panel a family: its points with the spread of their seeds, its law with band and floor, its hold-out."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

import numpy as np

from isostate.report import fits, fitted, hover, labels, law_words, style, traces
from isostate.report import rows as runs
from isostate.report.controls import evaluated, place_controls
from isostate.report.rows import Row
from isostate.report.views import Figure, View, empty, figure

TITLE = "The law of each family"
CAPTION = (
    "A panel a family, all on the same axes: held-out loss against state, the fitted power law with its 95 % band, and "
    "its floor L∞, dotted, where the points tell one. Bars are the standard deviation over seeds. Hollow points were "
    "held out of a test fit; the bar beside them is what it predicted there. In the note's words window is the KV "
    "cache transformer, linear the head-varied one; power we take for the multilinear one."
)
COLUMNS, NARROW = 3, 2


def law_of_each_family(table: list[Row], laws: list[dict[str, Any]]) -> Figure:
    """Every combination of size, contexts and condition; a gated family shares its panel with the ungated one."""
    finished = runs.drawn(table)
    if not finished:
        words = "No run has finished yet. A [[sweep]] over several states of each mixer fills a panel each."
        return empty("families", TITLE, CAPTION, words)
    controls = place_controls(finished)

    def draw(**at: Any) -> View:
        return _view(evaluated(finished, **at), finished, laws, **at)

    return figure("families", TITLE, CAPTION, controls, draw, lambda **at: len(evaluated(finished, **at)))


def panels_of(families: list[str]) -> dict[str, list[str]]:
    """Families by what their panel is named after: the family without its gate."""
    grouped: dict[str, list[str]] = {}
    for family in families:
        grouped.setdefault(style.without_gate(family), []).append(family)
    return grouped


def _view(members: list[Row], finished: list[Row], laws: list[dict[str, Any]], **at: Any) -> View:
    if not members:
        return {"missing": "No finished run here: this size was not trained at this context, or not evaluated at it."}
    every, grouped = runs.families(finished), panels_of(runs.families(members))
    data: list[dict[str, Any]] = []
    titles, floors = [], {}
    for place, families in enumerate(grouped.values(), start=1):
        heads = []
        for family in families:
            fit = fits.find(laws, fits.group_of(family, **at, every=runs.conditions(finished)))
            law = fit if fit and law_words.has_exponent(fit) else None
            mine = [row for row in members if row["family"] == family]
            look = style.by_colour(family, every)
            drawn = _family_traces(family, mine, law, look, at["eval_context"])
            data += [{**trace, "xaxis": f"x{place}", "yaxis": f"y{place}"} if place > 1 else trace for trace in drawn]
            heads.append(_head(family, law, look))
            if law and law_words.has_floor(law):
                floors[family] = law["params"]["L_inf"]["value"]
        titles.append("<br>".join(heads))
    losses = np.array([runs.final_loss(row, at["eval_context"]) for row in members])
    shown = fitted.with_room(losses, list(floors.values()))
    axes = _axes([runs.state(row) for row in members], shown)
    marks = ["", *(str(place) for place in range(2, len(grouped) + 1))]
    layout = {f"{name}{mark}": axis for mark in marks for name, axis in axes.items()}
    panels = {"titles": titles, "columns": COLUMNS, "narrow": NARROW, "shared": True}
    return {"data": data, "layout": {**layout, "showlegend": False}, "note": _note(floors, shown), "panels": panels}


def _axes(states: list[int], shown: np.ndarray) -> dict[str, Any]:
    """One pair for all panels."""
    room = 0.06 * float(np.ptp(shown)) or 0.05
    low, high = float(shown.min()) - room, float(shown.max()) + room
    return {
        "xaxis": style.decimal_axis("state (elements)", min(states), 1.3 * max(states), most=4),
        "yaxis": {**style.loss_axis("loss (nats)"), "range": [low, high], "nticks": 6},
    }


def _head(family: str, law: dict[str, Any] | None, look: dict[str, str]) -> str:
    """A family's marker and name in its colour, and its law in few words."""
    marked = f"{style.GLYPHS[look['symbol']]} {labels.plotly_text(family)}"
    name = f'<b><span style="color:{look["color"]}">{marked}</span></b>'
    if law is None:
        return f"{name} no law"
    return f"{name} {law_words.brief(law)}"


def _family_traces(
    family: str, members: list[Row], law: dict[str, Any] | None, look: dict[str, str], context: int
) -> list[dict[str, Any]]:
    """Band, line, floor, hold-out, and the means with their spread."""
    groups = runs.by_state(members)
    losses = [[runs.final_loss(row, context) for row in group] for group in groups.values()]
    states, means = list(groups), [fmean(seeds) for seeds in losses]
    held = {point["x"] for point in law["points"] if point["held_out"]} if law and law["holdout"] else set()
    symbols = [look["symbol"] + ("-open" if state in held else "") for state in states]
    texts = [hover.of_mean(group, context, law) for group in groups.values()]
    spread = [stdev(seeds) if len(seeds) > 1 else 0.0 for seeds in losses]
    bars = {"type": "data", "array": spread, "color": look["color"], "thickness": 1.2, "width": 3}
    dots = traces.points(states, means, traces.marker(symbols, look["color"], 7.0), texts)
    drawn = [] if law is None else _law_traces(family, law, look, states)
    if law is None:
        drawn.append(traces.line(states, means, look, width=1))
    return [{**trace, "meta": {"family": family}} for trace in [*drawn, {**dots, "error_y": bars}]]


def _law_traces(family: str, law: dict[str, Any], look: dict[str, str], states: list[int]) -> list[dict[str, Any]]:
    curve, held = law["curve"], law["holdout"]
    drawn = [
        traces.band(curve["x"], curve["low"], curve["high"], look["color"]),
        traces.line(curve["x"], curve["y"], look),
    ]
    if law_words.has_floor(law):
        floor = law["params"]["L_inf"]["value"]
        drawn.append(traces.line([min(states), 1.3 * max(states)], [floor] * 2, {**look, "dash": "dot"}, width=1.2))
    if held:
        place, ends = (1.12 * held["x"], held["predicted"]), (held["low"], held["high"])
        words = hover.of_holdout(labels.plotly_text(family), held)
        drawn.append(traces.bar(place, ends, "y", look["color"], "line-ew", words))
    return drawn


def _note(floors: dict[str, float], shown: np.ndarray) -> str:
    """Which floors lie below the axis, so that nobody looks for their lines."""
    below = [labels.plain(family) for family, floor in floors.items() if floor < float(shown.min()) - 1e-9]
    return f"The floor lies below the axis for {labels.listing(below)}." if below else ""
