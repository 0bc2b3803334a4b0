"""The state worth having: S*(T) against the training context, S*(N) against the parameters, and what was claimed.

The note that Isostate comes from claims S* ~ T^(1/2) and S* of the order of N. Here S* follows from the joint laws.
"""

from __future__ import annotations

import math
from typing import Any

from isostate.report import labels, style, traces
from isostate.report import rows as runs
from isostate.report.joint_fits import CLAIMED, exponent, exponent_verdict, trained
from isostate.report.rows import Row
from isostate.report.views import Figure, View, control, empty, figure

TITLE = "State worth having"
CAPTION = (
    "Where the joint law says that state stops being what is short: against the training context, the state at which "
    "forgetting costs what the finite context does; against parameters, the state whose doubling gains as theirs. "
    "Bars are 95 % intervals; the dotted line is what the note claims. Families stand a few percent aside, so that "
    "all bars are seen."
)
AGAINST = {"state-context": "training context", "state-params": "parameters"}
ASIDE = 1.03  # a family's points stand beside the next family's, so that both bars are seen
REACH = 4.0


def best_state(table: list[Row], entries: list[dict[str, Any]]) -> Figure:
    """A line a family, for each joint law that the study asked for."""
    finished = runs.drawn(table)
    joint = [entry for entry in entries if entry["law"] in AGAINST and entry["params"]]
    if not joint:
        words = (
            'No joint law yet: [[fit]] law = "state-context" needs several training contexts, "state-params" several '
            "[[size]] tables, each with several states."
        )
        return empty("best-state", TITLE, CAPTION, words)
    every, conditions = runs.families(finished), runs.conditions(finished)
    asked = [(law, words) for law, words in AGAINST.items() if any(entry["law"] == law for entry in joint)]
    controls = [
        control("law", "against", "tabs", asked),
        control(
            "condition",
            "trained on",
            "select",
            [(key, labels.plain(runs.condition_label(key, conditions))) for key in conditions],
        ),
    ]

    def chosen(law: str, condition: Any) -> list[dict[str, Any]]:
        label = runs.condition_label(condition, conditions)
        return [entry for entry in joint if entry["law"] == law and entry["group"]["condition"] == label]

    def draw(law: str, condition: Any) -> View:
        return _view(chosen(law, condition), law, every)

    return figure("best-state", TITLE, CAPTION, controls, draw, lambda **at: len(chosen(**at)))


def _view(entries: list[dict[str, Any]], law: str, every: list[str]) -> View:
    if not entries:
        return {"missing": "No joint law here: the table of laws says why."}
    data: list[dict[str, Any]] = []
    notes = []
    places = {_place(entry["group"]) for entry in entries}
    for rank, entry in enumerate(entries):
        group, best = entry["group"], trained(entry)
        look, place = style.of_family(group["family"], every), _place(group) if len(places) > 1 else ""
        notes.append(_said(entry, law, place))
        if not best:
            continue
        name = labels.plotly_text(group["family"] + place)
        aside = ASIDE ** (rank - (len(entries) - 1) / 2)
        texts = [f"<b>{name}</b><br>S* = {_amount(point)}<br>at {_at(law, point['x'])}" for point in best]
        dots = traces.marker([look["symbol"]] * len(best), look["color"])
        xs, ys = [aside * point["x"] for point in best], [point["value"] for point in best]
        ends = {
            "type": "data",
            "symmetric": False,
            "array": [0 if point["high"] is None else point["high"] - point["value"] for point in best],
            "arrayminus": [0 if point["low"] is None else point["value"] - point["low"] for point in best],
            "color": look["color"],
            "thickness": 1,
        }
        shared = {"legendgroup": name, "meta": {"family": group["family"]}}
        drawn = [
            traces.legend_entry(name, look),
            traces.line(xs, ys, look),
            {**traces.points(xs, ys, dots, texts), "error_y": ends},
        ]
        data += [{**trace, **shared} for trace in drawn]
    points = [point for entry in entries for point in trained(entry)]
    if not points:
        return {"missing": " ".join(notes)}
    data.append(_claim(points, law))
    x = [point["x"] for point in points]
    axis = style.log_axis if law == "state-context" else style.decimal_axis
    layout = {
        "xaxis": axis(
            "training context (tokens)" if law == "state-context" else "parameters without embedding", min(x), max(x)
        ),
        "yaxis": style.decimal_axis("S* (elements per sequence)", *_reach(points, data[-1]["y"])),
    }
    return {"data": data, "layout": layout, "note": " ".join(notes)}


def _reach(points: list[dict[str, Any]], claim: list[float]) -> tuple[float, float]:
    """Ends of an axis that holds every S* and what is claimed, and of the intervals a factor of REACH beyond."""
    values = [*claim, *(point["value"] for point in points)]
    ends = [point[key] for point in points for key in ("low", "high") if point[key] is not None]
    low, high = max(min([*values, *ends]), min(values) / REACH), min(max([*values, *ends]), max(values) * REACH)
    return max(1.0, low), max(2.0, high)


def _claim(points: list[dict[str, Any]], law: str) -> dict[str, Any]:
    """S* = N; or a slope of 1/2 through the geometric middle of all points."""
    low, high = min(point["x"] for point in points), max(point["x"] for point in points)
    scale = 1.0
    if law == "state-context":
        logs = [math.log(point["value"]) - 0.5 * math.log(point["x"]) for point in points]
        scale = math.exp(sum(logs) / len(logs))
    ys = [scale * x ** CLAIMED[law] for x in (low, high)]
    name = "S* ~ √T" if law == "state-context" else "S* = N"
    grey = {"color": style.NEUTRAL, "dash": "dot", "width": 1.5}
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": [low, high],
        "y": ys,
        "line": grey,
        "hoverinfo": "skip",
    }


def _said(entry: dict[str, Any], law: str, place: str) -> str:
    beyond = [point for point in entry["best"] if point not in trained(entry)]
    places = ", ".join(f"{told(entry, point)} at {_at(law, point['x'])}" for point in beyond)
    shown = f"exponent {told_exponent(exponent(entry))}, {CLAIMED[law]:g} is {exponent_verdict(entry)}."
    words = f"{labels.plain(entry['group']['family'])}{place}: {shown}"
    return f"{words} Not drawn, outside the states that were trained: {places}." if beyond else words


def _place(group: dict[str, Any]) -> str:
    """What tells this law from another of its family: size or training context, where there are several."""
    return f", {group['size']}" if group["size"] else f", T {group['train_context']:,}"


def _at(law: str, x: float) -> str:
    return f"{x:,.0f} tokens" if law == "state-context" else f"{labels.decimal(x)} parameters"


def told_exponent(found: dict[str, Any] | None) -> str:
    """An exponent of S* (joint_fits.exponent) in words."""
    if found is None:
        return "no fit"
    ends = ", no interval" if found["low"] is None else f" {labels.interval(found['low'], found['high'])}"
    return labels.number(found["value"], 3) + ends


def told(entry: dict[str, Any], point: dict[str, Any]) -> str:
    """S* at a place, in elements; beyond the states that were trained, that it lies beyond them."""
    least, most = entry["states"]
    if point["value"] < least:
        return f"below {labels.decimal(least)}"
    return f"above {labels.decimal(most)}" if point["value"] > most else labels.decimal(point["value"])


def _amount(point: dict[str, Any]) -> str:
    return f"{labels.decimal(point['value'])} {labels.interval(point['low'], point['high'])}"
