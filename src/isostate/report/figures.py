"""Loss against state: points, fitted law and band a family. The central figure."""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

import numpy as np

from isostate.report import fits, fitted, hover, labels, law_words, style, traces
from isostate.report import rows as runs
from isostate.report.controls import evaluated, place_controls, select
from isostate.report.rows import Row
from isostate.report.views import Figure, View, control, empty, figure

TITLE = "Loss against state"
CAPTION = (
    "Held-out loss at the end of training. Lines are fitted power laws, bars the standard deviation over seeds, hollow "
    "points were held out of a test fit. One family alone also shows its law's 95 % band, its seeds, and what the test "
    "fit predicted."
)


def loss_against_state(table: list[Row], laws: list[dict[str, Any]]) -> Figure:
    """Points, fitted line and band a family; every combination of size, contexts and condition."""
    finished = runs.drawn(table)
    if not finished:
        words = "No run has finished yet. A [[sweep]] over state_size for each mixer fills this figure, [[size]] tabs."
        return empty("state", TITLE, CAPTION, words)
    controls = [
        *place_controls(finished),
        {**control("family", "family", "select", family_options(finished), "filter"), "default": 0},
    ]

    def draw(**at: Any) -> View:
        return _law_view(evaluated(finished, **at), finished, laws, **at)

    return figure("state", TITLE, CAPTION, controls, draw, lambda **at: len(evaluated(finished, **at)))


def family_options(table: list[Row]) -> list[tuple[str, str]]:
    """All families together, or one of them."""
    return [("", "all families"), *((family, labels.plain(family)) for family in runs.families(table))]


def _law_view(members: list[Row], finished: list[Row], laws: list[dict], **at: Any) -> View:
    if not members:
        return {"missing": "No finished run here: this size was not trained at this context, or not evaluated at it."}
    every, conditions = runs.families(finished), runs.conditions(finished)
    data: list[dict[str, Any]] = []
    unfitted = []
    for family in runs.families(members):
        mine = [row for row in members if row["family"] == family]
        fit = fits.find(laws, fits.group_of(family, **at, every=conditions))
        look = style.of_family(family, every)
        if fit is None or not law_words.has_exponent(fit):
            unfitted.append(labels.plain(family))
        data += law_traces(family, mine, fit, look, at["eval_context"])
    if len(runs.families(members)) == 1:
        data = [{**trace, "meta": {"family": trace["meta"]["family"]}} for trace in data]
    states = [x for trace in data for x in trace["x"] if x is not None]
    cut = _cut_range(data, [runs.final_loss(row, at["eval_context"]) for row in members])
    layout = {
        "xaxis": style.decimal_axis("state (elements per sequence)", min(states), max(states)),
        "yaxis": {**style.loss_axis(), **({"range": cut} if cut else {})},
    }
    notes = ["A family's band is cut where it reaches beyond the axis; double-click shows it whole."] if cut else []
    lost = len(select(finished, at["size"], at["condition"], at["train_context"])) - len(members)
    if lost:
        notes.append(f"Not drawn: {labels.plural(lost, 'run')} without a finite loss at this context.")
    if unfitted:
        note = f"Without a law: {labels.listing(unfitted)}. Thin lines join the means; the table of laws says why."
        notes.append(note)
    return {"data": data, "layout": layout, "note": " ".join(notes)}


def _cut_range(data: list[dict[str, Any]], losses: list[float]) -> list[float] | None:
    """Where bands would press the points flat: a range of losses that leaves half as much again to them, and none to
    those of families alone."""
    every = [y for trace in data for y in trace["y"] if y is not None and np.isfinite(y)]
    beside = [y for trace in data if "alone" not in trace["meta"] for y in trace["y"] if y is not None]
    shown = fitted.with_room(np.array(losses), [y for y in beside if np.isfinite(y)])
    low, high = float(shown.min()), float(shown.max())
    room = 0.04 * (high - low)
    return None if low <= min(every) and max(every) <= high else [low - room, high + room]


def law_traces(family: str, members: list[Row], fit: dict | None, look: dict, context: int) -> list[dict]:
    """A family's law, band, hold-out and points; the legend's entry first. What would cover other families, where
    several are drawn over one another, is marked "alone": band, hold-out and single seeds."""
    name = labels.plotly_text(family)
    shared: dict[str, Any] = {"legendgroup": name, "meta": {"family": family}}
    alone = {**shared, "meta": {"family": family, "alone": True}}
    groups = runs.by_state(members)
    losses = {size: [runs.final_loss(row, context) for row in group] for size, group in groups.items()}
    means = {size: fmean(seeds) for size, seeds in losses.items()}
    held = {point["x"] for point in fit["points"] if point["held_out"]} if fit and fit["holdout"] else set()
    drawn = [{**_mean_line(fit, look, means), **shared}, *({**trace, **alone} for trace in _law_ends(name, fit, look))]
    symbols = [look["symbol"] + ("-open" if size in held else "") for size in means]
    texts = [hover.of_mean(group, context, fit) for group in groups.values()]
    points = traces.points(list(means), list(means.values()), traces.marker(symbols, look["color"]), texts)
    if any(len(seeds) > 1 for seeds in losses.values()):
        drawn.append({**_seed_points(groups, look, context), **alone})
        spread = [stdev(seeds) if len(seeds) > 1 else 0.0 for seeds in losses.values()]
        points["error_y"] = {"type": "data", "array": spread, "color": look["color"], "thickness": 1.2, "width": 3}
    return [{**traces.legend_entry(name, look), **shared}, *drawn, {**points, **shared}]


def _mean_line(fit: dict | None, look: dict, means: dict[int, float]) -> dict:
    """The law; a thin line through the means where there is none."""
    if fit is None or not law_words.has_exponent(fit):
        return traces.line(list(means), list(means.values()), look, width=1)
    return traces.line(fit["curve"]["x"], fit["curve"]["y"], look)


def _law_ends(name: str, fit: dict | None, look: dict) -> list[dict]:
    """The law's band and the hold-out's interval."""
    if fit is None or not law_words.has_exponent(fit):
        return []
    curve, held = fit["curve"], fit["holdout"]
    drawn = [traces.band(curve["x"], curve["low"], curve["high"], look["color"])]
    if held:
        # a little to the right of what was observed, so that both are seen
        place, ends = (held["x"] * 1.05, held["predicted"]), (held["low"], held["high"])
        drawn.append(traces.bar(place, ends, "y", look["color"], "line-ew", hover.of_holdout(name, held)))
    return drawn


def _seed_points(groups: dict[int, list[Row]], look: dict, context: int) -> dict[str, Any]:
    members = [row for group in groups.values() for row in group]
    dots = {"symbol": look["symbol"], "color": style.faded(look["color"], 0.45), "size": 5}
    texts = [hover.of_run(row, context) for row in members]
    losses = [runs.final_loss(row, context) for row in members]
    return traces.points([runs.state(row) for row in members], losses, dots, texts)
