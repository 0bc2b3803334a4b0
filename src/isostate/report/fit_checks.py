"""How well a law fits: observed against predicted, residuals, the test on points held out.

Traces and layouts are for one fit or several: the page of a study draws its families' together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from isostate.laws import Fit
from isostate.laws.law import Array
from isostate.report import fitted, hover, labels, style, traces
from isostate.report.fit_data import ALONE, hollow, point_marker, texts
from isostate.report.traces import Look, Trace
from isostate.report.views import Figure, View, control, empty, figure

PREDICTED = ""  # what residuals may be drawn against, beside the inputs
TREND, GROUPS = 40, 10  # from so many points on, medians of so many groups show where residuals drift
RESIDUALS = "The zero line is the law; a law that fits leaves no pattern."
HOLD_OUT = (
    "The law was fitted again without the held-out points: what it then predicts for the largest of them, with the "
    "interval in which it expects it, as an error. The law passes where the bar holds 0, the observed value."
)


def against_predicted(fit: Fit) -> Figure:
    """Observed against predicted, with the line on which they are equal."""
    output = fit.law.output

    def draw() -> View:
        table = fitted.columns(fit)
        predicted = fit.predict(table.x)
        both = np.concatenate([table.y, predicted])
        ends = [float(both.min()), float(both.max())]
        equal = traces.line(ends, ends, {"color": style.NEUTRAL, "dash": "dash"}, width=1)
        layout = {
            "xaxis": fitted.axis(output, both, f"{fitted.title(output)}, by the law"),
            "yaxis": fitted.axis(output, both, f"{fitted.title(output)}, observed"),
            "showlegend": False,
        }
        dots = traces.points(predicted, table.y, point_marker(fit, ALONE), texts(fit))
        return {"data": [equal, dots], "layout": layout, "note": ""}

    title = "Observed against the law"
    return figure("predicted", title, "On the line both are equal." + hollow(fit), [], draw, lambda: 1)


def residuals(fit: Fit) -> Figure:
    """Residuals against the prediction and against each input."""
    symbols = fit.law.inputs
    options = [] if len(symbols) == 1 else [(PREDICTED, f"{fitted.tab(fit.law.output)}, by the law")]
    options += [(symbol, fitted.tab(symbol)) for symbol in symbols]
    trend = " The line joins medians of tenths of the points." if len(fit.points) >= TREND else ""
    caption = RESIDUALS + trend + hollow(fit)

    def draw(against: str) -> View:
        layout = {**residual_layout([fit], against), "showlegend": False}
        return {"data": residual_traces(fit, against, ALONE, texts(fit)), "layout": layout, "note": spread(fit)}

    chosen, first = [control("against", "against", "tabs", options)], options[0][0]
    return figure("residuals", "Residuals", caption, chosen, draw, lambda against: int(against == first))


def residual_traces(fit: Fit, against: str, look: Look, spoken: list[str] | None) -> list[Trace]:
    """Residuals of one fit in per cent, and where there are many the medians along them."""
    place, off = _places(fit, against), 100.0 * fitted.residuals(fit)
    drawn = [traces.points(place, off, point_marker(fit, look), spoken)]
    if len(off) >= TREND:
        tenths = np.array_split(np.argsort(place, kind="stable"), GROUPS)
        x, y = ([float(np.median(column[group])) for group in tenths] for column in (place, off))
        drawn.append(traces.line(x, y, {"color": style.RING, "dash": "solid"}))
    return drawn


def residual_layout(fits: list[Fit], against: str) -> dict[str, Any]:
    """Axes for residuals of fits of one law."""
    law = fits[0].law
    places = np.concatenate([_places(fit, against) for fit in fits])
    words = f"{fitted.title(law.output)}, by the law" if against == PREDICTED else None
    return {
        "xaxis": fitted.axis(law.output if against == PREDICTED else against, places, words),
        "yaxis": style.plain_axis("observed / law − 1 (%)"),
        "shapes": [traces.level("y", 0.0)],
    }


def _places(fit: Fit, against: str) -> Array:
    table = fitted.columns(fit)
    return fit.predict(table.x) if against == PREDICTED else table.x[against]


def spread(fit: Fit) -> str:
    """The residuals in numbers."""
    off = fitted.residuals(fit)
    table, worst = fitted.columns(fit), int(np.argmax(np.abs(off)))
    where = ", ".join(fitted.amount(symbol, float(column[worst])) for symbol, column in table.x.items())
    return (
        f"Root mean square {labels.percent(float(np.sqrt(np.mean(off**2))))}; the furthest point lies "
        f"{labels.percent(float(off[worst]))} from the law, at {where}."
    )


def hold_out(fit: Fit) -> Figure:
    """The test of the law on what it had not seen."""
    title = "Test on the points held out"
    if fit.holdout is None:
        words = "No point was held out, or what was left could not carry the law: the alarms say which."
        return empty("holdout", title, HOLD_OUT, words)
    held = fit.holdout
    several = ""
    if held.n > 1:
        mean = f"The mean of all {held.n} errors is {labels.percent(held.mean_error)}"
        several = f" {mean}, that of their sizes {labels.percent(held.mean_abs_error)}."

    def draw() -> View:
        data = hold_out_traces(fit, f"largest of {held.n}" if held.n > 1 else "held out", ALONE)
        verdict = "inside the interval" if held.covered else "outside the interval"
        note = (
            f"Predicted {labels.number(held.predicted)} {labels.interval(held.low, held.high)}, observed "
            f"{labels.number(held.observed)}: {verdict if held.high > held.low else 'without an interval'}, error "
            f"{labels.percent(held.error)}.{several}"
        )
        return {"data": data, "layout": {**hold_out_layout(), "showlegend": False}, "note": note, "rows": True}

    return figure("holdout", title, HOLD_OUT, [], draw, lambda: 1)


def hold_out_traces(fit: Fit, name: str, look: Look) -> list[Trace]:
    """A row called `name`: the error of the prediction, and its interval."""
    assert fit.holdout is not None
    held = fit.holdout
    error, low, high = (100.0 * (value / held.observed - 1.0) for value in (held.predicted, held.low, held.high))
    text = hover.of_holdout(name, held.to_dict())
    return [traces.bar((error, name), (low, high), "x", look["color"], look["symbol"], text)]


def hold_out_layout() -> dict[str, Any]:
    return {
        "xaxis": style.plain_axis("predicted / observed − 1 (%)"),
        "yaxis": {"type": "category", "title": {"text": ""}},
        "shapes": [traces.level("x", 0.0)],
    }
