"""What was fitted, and the law through it: loss against each input, and for two inputs the plane of both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isostate.laws import Fit
from isostate.laws.law import Array
from isostate.report import fitted, hover, labels, style, traces
from isostate.report.views import Figure, View, control, figure

ALONE = style.of_family("law", ["law"])  # how a law looks that stands alone
MANY = 60  # points, beyond which they are drawn small
SPOKEN = 2_000  # points, beyond which none says anything: their texts would outweigh the page


def against_inputs(fit: Fit) -> Figure:
    """Loss against each input; of several, with lines of the law at some values of another."""
    symbols = fit.law.inputs
    output = fitted.word(fit.law.output)
    output = output[0].upper() + output[1:]
    if len(symbols) == 1:
        title = f"{output} against {fitted.word(symbols[0])}"
        return figure("data", title, _caption(fit), [], lambda: one_input(fit), lambda: 1)
    chosen = [control("against", "against", "tabs", [(symbol, fitted.tab(symbol)) for symbol in symbols])]
    title = f"{output} against each input"
    return figure(
        "data", title, _caption(fit), chosen, lambda against: several(fit, against),
        lambda against: int(against == symbols[0]),
    )  # fmt: skip


def _caption(fit: Fit) -> str:
    words = []
    if fit.params:
        words.append("Lines are the law" + (", bands its intervals." if fit.curve.x or fit.draws is not None else "."))
    if fit.params and len(fit.law.inputs) > 1:
        words.append(
            "Each line is for one value of another input. A point is moved along the law to the nearest line, and lies "
            "as far from it as from the law at its own inputs."
        )
    bar = " The bar beside them is what it predicted there." if len(fit.law.inputs) == 1 and fit.holdout else ""
    return " ".join(words) + hollow(fit) + bar


def hollow(fit: Fit) -> str:
    """Why points are hollow, where some are: the end of a caption."""
    return " Hollow points were held out of the test fit." if fitted.columns(fit).held.any() else ""


def point_marker(fit: Fit, look: traces.Look) -> dict[str, Any]:
    """Markers of a fit's points, hollow where held out, smaller where there are many; a colour each, or one."""
    held = fitted.columns(fit).held
    many = len(held) > MANY
    symbols = [look["symbol"] + ("-open" if out else "") for out in held]
    return {**traces.marker(symbols, look["color"], 5.0 if many else 8.0), "opacity": 0.75 if many else 1.0}


def texts(fit: Fit) -> list[str] | None:
    return hover.of_points(fit) if len(fit.points) <= SPOKEN else None


def one_input(fit: Fit) -> View:
    """Points, line, band, and the hold-out's interval beside its point."""
    table, symbol = fitted.columns(fit), fit.law.inputs[0]
    x, colour = table.x[symbol], ALONE["color"]
    data, reached, losses, beside = [], [x], [table.y], list[float]()
    if fit.params:
        curve = fit.curve if fit.curve.x else fitted.curve(fit, {symbol: fitted.grid(x, beyond=2.0)})
        reached.append(np.array(curve.x))
        losses.append(np.array(curve.y))
        beside += [*curve.low, *curve.high]
        data += [traces.band(curve.x, curve.low, curve.high, colour)] if curve.low else []
        data.append(traces.line(curve.x, curve.y, ALONE))
    if fit.params and fit.holdout is not None:
        held = fit.holdout
        place = (held.x * (1.04 if held.x > fitted.SPANS * x.min() else 1.005), held.predicted)
        ends = (held.low, held.high)
        text = hover.of_holdout(labels.plotly_text(fit.law.name), held.to_dict())
        data.append(traces.bar(place, ends, "y", style.RING, "line-ew", text))
        beside += [held.low, held.predicted, held.high]
    data.append(traces.points(x, table.y, point_marker(fit, ALONE), texts(fit)))
    layout = {
        "xaxis": fitted.axis(symbol, np.concatenate(reached)),
        "yaxis": fitted.axis(fit.law.output, fitted.with_room(_finite(losses), beside)),
        "showlegend": False,
    }
    return {"data": data, "layout": layout, "note": ""}


def several(fit: Fit, symbol: str) -> View:
    """Loss against one input of several, a line for each of some values of the next."""
    table, symbols = fitted.columns(fit), fit.law.inputs
    place = symbols.index(symbol)
    other = symbols[(place + 1) % len(symbols)]
    rest = {name: fitted.typical(table.x[name]) for name in symbols if name not in (symbol, other)}
    shown = fitted.levels(table.x[other])
    looks = [style.of_rank(rank, len(shown)) for rank in range(len(shown))]
    along = fitted.grid(table.x[symbol])
    data, losses = [], []
    for value, look in zip(shown, looks, strict=True) if fit.params else ():
        at = {**rest, other: value}
        curve = fitted.curve(fit, {symbol: along, **{name: np.full(len(along), fixed) for name, fixed in at.items()}})
        data += [traces.band(curve.x, curve.low, curve.high, look["color"])] if curve.low else []
        data.append(traces.line(curve.x, curve.y, look))
        losses.append(np.array(curve.y))
    nearest = fitted.nearest_level(table.x[other], shown)
    moved = _moved(fit, {**rest, other: np.asarray(shown)[nearest]})
    dots = point_marker(fit, {**ALONE, "color": [looks[i]["color"] for i in nearest]})
    data.append(traces.points(table.x[symbol], moved, dots, texts(fit)))
    mode = "lines+markers" if fit.params else "markers"
    data += [
        traces.legend_entry(fitted.amount(other, value), {**look, "symbol": "circle"}, mode)
        for value, look in zip(shown, looks, strict=True)
    ]
    layout = {
        "xaxis": fitted.axis(symbol, table.x[symbol]),
        "yaxis": fitted.axis(fit.law.output, _finite([moved, *losses])),
    }
    return {"data": data, "layout": layout, "note": _at(rest)}


def _finite(columns: list[Array]) -> Array:
    values = np.concatenate(columns)
    return values[np.isfinite(values)]


def _moved(fit: Fit, at: Mapping[str, Any]) -> Array:
    """Observed values were some inputs those of `at`: the law says by what factor they change."""
    table = fitted.columns(fit)
    if not fit.params:
        return table.y
    there = {**table.x, **{name: np.broadcast_to(value, table.y.shape) for name, value in at.items()}}
    return table.y * fit.predict(there) / fit.predict(table.x)


def _at(rest: dict[str, float]) -> str:
    return f"At {labels.listing([fitted.amount(name, value) for name, value in rest.items()])}." if rest else ""
