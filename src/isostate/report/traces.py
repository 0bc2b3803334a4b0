"""The few plotly traces that figures of laws are made of: a law's line and band, points, an interval's bar.

They are also all that `static` draws (with contours), so a figure made of these looks alike on the page and in a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isostate.report import style

Trace = dict[str, Any]
Look = Mapping[str, Any]  # color, symbol, dash
Column = Sequence[Any] | NDArray[Any]
QUIET: Trace = {"type": "scatter", "showlegend": False, "hoverinfo": "skip"}


def plain(values: Iterable[Any]) -> list[Any]:
    """A list of JSON's own types."""
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def line(x: Column, y: Column, look: Look, width: float = 2.0) -> Trace:
    """A line in a family's colour and dash, without words."""
    drawn = {"color": look["color"], "dash": look["dash"], "width": width}
    return {**QUIET, "mode": "lines", "x": plain(x), "y": plain(y), "line": drawn}


def band(x: Column, low: Column, high: Column, colour: str) -> Trace:
    """What lies between `low` and `high`, shaded."""
    outline = {"x": plain([*x, *x[::-1]]), "y": plain([*high, *low[::-1]])}
    filled = {"fill": "toself", "fillcolor": style.faded(colour, 0.13), "line": {"width": 0}}
    return {**QUIET, "mode": "lines", **outline, **filled}


def points(x: Column, y: Column, marker: Trace, texts: Sequence[str] | None) -> Trace:
    """Markers that say something when a reader rests on them (None: nothing)."""
    spoken = {"hoverinfo": "skip"} if texts is None else {"hoverinfo": "text", "hovertext": list(texts)}
    at = {"x": plain(x), "y": plain(y)}
    return {"type": "scatter", "mode": "markers", "showlegend": False, **at, "marker": marker, **spoken}


def marker(symbols: str | list[str], colours: str | list[str], size: float = 9.0) -> Trace:
    """Hollow where the symbol ends in "-open"; the outline has the marker's own colour."""
    return {"symbol": symbols, "color": colours, "size": size, "line": {"color": colours, "width": 2}}


def bar(place: tuple[Any, Any], ends: tuple[float, float], along: str, colour: str, symbol: str, text: str) -> Trace:
    """A marker at `place` = (x, y) with an interval from ends[0] to ends[1] along x or y; the ends are positions."""
    middle = place["xy".index(along)]
    reach = {"type": "data", "symmetric": False, "array": [ends[1] - middle], "arrayminus": [middle - ends[0]]}
    error = {f"error_{along}": {**reach, "thickness": 1.2, "width": 4, "color": colour}}
    dressed = {"symbol": symbol, "size": 8, "line": {"color": colour, "width": 2}, "color": colour}
    return {**points([place[0]], [place[1]], dressed, [text]), **error}


def legend_entry(name: str, look: Look, mode: str = "lines+markers") -> Trace:
    """An entry that stands for line and marker together, which no drawn trace has. `name` is plotly text."""
    symbol = {"symbol": look["symbol"], "color": look["color"], "size": 8}
    drawn = {"color": look["color"], "dash": look["dash"], "width": 2}
    return {"type": "scatter", "mode": mode, "name": name, "x": [None], "y": [None], "marker": symbol, "line": drawn}


def level(axis: str, value: float, dash: str = "dot") -> dict[str, Any]:
    """A thin line across the whole drawing at x or y = `value`: a shape of the layout."""
    across = "y" if axis == "x" else "x"
    ends = {f"{axis}0": value, f"{axis}1": value, f"{across}ref": "paper", f"{across}0": 0, f"{across}1": 1}
    return {"type": "line", **ends, "line": {"color": style.NEUTRAL, "width": 1, "dash": dash}}
