"""The plane of a law's two inputs: the law's contours, and the points on either side of it."""

from __future__ import annotations

from typing import Any

import numpy as np

from isostate.laws import Fit
from isostate.laws.law import Array
from isostate.report import fitted, style, traces
from isostate.report.fit_data import texts
from isostate.report.views import Figure, View, figure

MESH = 40  # values of either input that contours are drawn from
SIDES = (("observed above the law", 1.0, style.COLOURS[1]), ("observed below the law", -1.0, style.COLOURS[0]))
SMALL, LARGE = 4.0, 14.0  # diameters of the points next to the law, and of the twentieth that lie furthest off


def plane(fit: Fit) -> Figure:
    """Where the points of a law in two inputs lie, and on which side of it."""
    first, second = (fitted.word(symbol) for symbol in fit.law.inputs)
    caption = (
        f"Contours are the law's {fitted.word(fit.law.output)}. The further a point lies from the law, the larger it "
        "is drawn: where one colour has a corner to itself, the law is wrong there."
    )
    return figure("plane", f"The law over {first} and {second}", caption, [], lambda: _view(fit), lambda: 1)


def _view(fit: Fit) -> View:
    table = fitted.columns(fit)
    first, second = fit.law.inputs
    x, y = fitted.grid(table.x[first], count=MESH), fitted.grid(table.x[second], count=MESH)
    z = fit.predict({first: np.tile(x, MESH), second: np.repeat(y, MESH)}).reshape(MESH, MESH)
    finite = z[np.isfinite(z)]
    shown = style.round_values(float(finite.min()), float(finite.max())) if np.ptp(finite) > 0 else []
    data = [_contour(x, y, z, level) for level in shown]
    off, words = fitted.residuals(fit), texts(fit)
    sizes = SMALL + (LARGE - SMALL) * np.minimum(np.abs(off) / max(float(np.quantile(np.abs(off), 0.95)), 1e-12), 1.0)
    symbols = np.where(table.held, "circle-open", "circle")
    for name, side, colour in SIDES:
        mine = np.flatnonzero(np.where(off > 0, 1.0, -1.0) == side)
        dots = {**traces.marker(symbols[mine].tolist(), colour), "size": sizes[mine].tolist(), "opacity": 0.8}
        spoken = [words[i] for i in mine] if words else None
        data.append(traces.points(table.x[first][mine], table.x[second][mine], dots, spoken))
        data.append(traces.legend_entry(name, {"symbol": "circle", "color": colour, "dash": "solid"}, "markers"))
    return {"data": data, "layout": {"xaxis": fitted.axis(first, x), "yaxis": fitted.axis(second, y)}, "note": ""}


def _contour(x: Array, y: Array, z: Array, level: float) -> dict[str, Any]:
    """One line of equal loss, with its value written on it."""
    at = {"start": level, "end": level, "size": 1.0}
    return {
        "type": "contour",
        "x": x.tolist(),
        "y": y.tolist(),
        "z": z.tolist(),
        "autocontour": False,
        "contours": {"coloring": "none", "showlabels": True, "labelformat": ".3~g", **at},
        "line": {"color": style.NEUTRAL, "width": 1},
        "showscale": False,
        "showlegend": False,
        "hoverinfo": "skip",
    }
