"""A figure as PNG or SVG: the plotly description of `views`, drawn by matplotlib (the optional extra [figures]).

Only what report/traces.py makes is drawn: lines, markers, error bars, filled outlines, contours, level lines, log and
category axes, legends. A description that holds anything else is refused, so that no file lacks what the page shows.
Every view of a figure is a panel of one image: a tab each on the page, side by side on paper.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterator
from typing import Any

from isostate.config import UserError
from isostate.report.views import Figure, View

WIDTH, HEIGHT, ROW = 4.5, 3.2, 0.4  # inches: a panel, and a row of a panel that has rows
HEAD = 0.3  # inches above all panels, for the title
DPI = 200
SCALE = 0.68  # points on paper to a pixel of the page, whose drawings are about twice as wide
INK, SOFT, GRID, EDGE = "#16191d", "#5b636c", "#e6e9ec", "#8b939b"  # of page.js, light
MARKERS = {
    "circle": "o",
    "square": "s",
    "diamond": "D",
    "triangle-up": "^",
    "triangle-down": "v",
    "pentagon": "p",
    "hexagon": "h",
    "star": "*",
    "line-ew": "_",
    "line-ns": "|",
}
DASHES: dict[str, Any] = {
    "solid": "-",
    "dash": (0, (5, 2.5)),
    "dot": (0, (1.2, 2)),
    "dashdot": (0, (5, 2, 1.2, 2)),
    "longdash": (0, (9, 3)),
    "longdashdot": (0, (9, 3, 1.2, 3)),
}
SPOKEN = {"type", "showlegend", "legendgroup", "meta", "hoverinfo", "hovertext"}  # what only a screen needs
SCATTER = SPOKEN | {"mode", "name", "x", "y", "marker", "line", "error_x", "error_y", "fill", "fillcolor"}
CONTOUR = SPOKEN | {"x", "y", "z", "autocontour", "contours", "line", "showscale"}
LAYOUT = {"xaxis", "yaxis", "showlegend", "legend", "shapes"}
AXIS = {"type", "title", "range", "tickvals", "ticktext"}
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],  # comes with matplotlib: the same image on every machine
    "font.size": 8.5,
    "axes.edgecolor": EDGE,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "text.parse_math": False,  # a dollar sign in a name stays one
    "xtick.color": EDGE,
    "ytick.color": EDGE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "isostate",  # and the same figure gives the same bytes
}


def size(figure: Figure) -> tuple[float, float]:
    """Inches of a figure's image: its panels side by side, three at most."""
    views = list(figure["views"].values())
    across = columns(len(views))
    down = -(-len(views) // across)
    height = max(1.0 + ROW * len(_rows(view)) if view.get("rows") else HEIGHT for view in views)
    return across * WIDTH, down * height + HEAD


def _rows(view: View) -> set[str]:
    return {name for trace in view["data"] for name in trace["y"] if name is not None}


def columns(count: int) -> int:
    """How many panels stand side by side: 2 by 2 rather than 3 and 1."""
    return count if count < 3 else 2 if count == 4 else 3


def image(figure: Figure, kind: str) -> bytes:
    """The figure as "png" (DPI dots an inch) or "svg". Raises UserError without matplotlib."""
    try:
        import matplotlib  # the optional extra [figures]
        from matplotlib.figure import Figure as Canvas
    except ImportError:
        raise UserError(f"{kind} needs matplotlib: pip install 'isostate[figures]'; html needs nothing") from None
    assert all(control["role"] == "view" for control in figure["controls"]), "filters and swaps need a screen"
    views = list(figure["views"].values())
    with matplotlib.rc_context(), io.BytesIO() as file:
        matplotlib.rcdefaults()  # whatever the user's matplotlibrc says
        matplotlib.rcParams.update(STYLE)
        canvas = Canvas(figsize=size(figure), layout="constrained", facecolor="white")
        across = columns(len(views))
        for place, view in enumerate(views, start=1):
            _panel(canvas.add_subplot(-(-len(views) // across), across, place), view)
        canvas.suptitle(_text(figure["title"]), x=0.01, ha="left", fontsize=10, fontweight="bold")
        metadata = {"Software": None} if kind == "png" else {"Date": None, "Creator": None}
        canvas.savefig(file, format=kind, dpi=DPI, metadata=metadata)
        return file.getvalue()


def _panel(axes: Any, view: View) -> None:
    if "missing" in view:
        axes.set_axis_off()
        axes.text(0.5, 0.5, _text(view["missing"]), ha="center", va="center", wrap=True, transform=axes.transAxes)
        return
    layout = view["layout"]
    assert set(layout) <= LAYOUT, f"not drawn: {set(layout) - LAYOUT}"
    for name in ("x", "y"):
        _scale(axes, name, layout[f"{name}axis"])
    for order, trace in enumerate(view["data"]):
        draw = {"scatter": _scatter, "contour": _contour}[trace["type"]]
        draw(axes, trace, 2.0 + 0.01 * order)  # later traces lie on top, whatever they are
    for shape in layout.get("shapes", []):
        _level(axes, shape)
    for name in ("x", "y"):
        _ticks(axes, name, layout[f"{name}axis"])
    if layout.get("showlegend", True):
        _legend(axes, view["data"], layout)


def _scale(axes: Any, name: str, axis: dict[str, Any]) -> None:
    assert set(axis) <= AXIS, f"not drawn: {set(axis) - AXIS}"
    if axis.get("type") == "log":
        axes.set(**{f"{name}scale": "log"})


def _ticks(axes: Any, name: str, axis: dict[str, Any]) -> None:
    """Title, range and ticks, after all is drawn: drawing would move them."""
    axes.set(**{f"{name}label": _text(axis["title"]["text"])})
    side = getattr(axes, f"{name}axis")
    log = axis.get("type") == "log"
    if "range" in axis:
        axes.set(**{f"{name}lim": [10.0**end for end in axis["range"]] if log else axis["range"]})
    if axis.get("tickvals"):
        side.set_ticks(axis["tickvals"], [_text(text) for text in axis["ticktext"]])
        side.set_ticks([], minor=True)
    if axis.get("type") == "category":
        axes.set(**{f"{name}lim": (-0.5, len(side.get_majorticklocs()) - 0.5)})


def _scatter(axes: Any, trace: dict[str, Any], order: float) -> None:
    assert set(trace) <= SCATTER, f"not drawn: {set(trace) - SCATTER}"
    if trace["x"] == [None]:
        return  # only the legend shows it
    if trace.get("fill"):
        assert trace["fill"] == "toself"
        axes.fill(trace["x"], trace["y"], color=_colour(trace["fillcolor"]), linewidth=0, zorder=order)
    elif "lines" in trace["mode"]:
        axes.plot(trace["x"], trace["y"], **_line(trace["line"]), zorder=order)
    for along in ("x", "y"):
        if f"error_{along}" in trace:
            _bars(axes, trace, along, order)
    if "markers" in trace["mode"]:
        for places, look in _markers(trace["marker"], len(trace["x"])):
            x, y = ([trace[name][i] for i in places] for name in ("x", "y"))
            axes.scatter(x, y, **look, zorder=order)


def _bars(axes: Any, trace: dict[str, Any], along: str, order: float) -> None:
    """Error bars, also of a value outside its own interval, which matplotlib's would refuse."""
    bar = trace[f"error_{along}"]
    cap = {"marker": "|" if along == "x" else "_", "markersize": 2 * bar["width"] * SCALE}
    look = {"color": bar["color"], "linewidth": bar["thickness"], **cap, "markeredgewidth": bar["thickness"]}
    for x, y, below, above in zip(trace["x"], trace["y"], bar["arrayminus"], bar["array"], strict=True):
        ends = ([x - below, x + above], [y, y]) if along == "x" else ([x, x], [y - below, y + above])
        axes.plot(*ends, **look, zorder=order)


def _markers(marker: dict[str, Any], count: int) -> Iterator[tuple[list[int], dict[str, Any]]]:
    """Which points look alike in shape, and how matplotlib draws them."""
    symbols, colours, sizes = (
        marker[key] if isinstance(marker[key], list) else [marker[key]] * count for key in ("symbol", "color", "size")
    )
    for symbol in dict.fromkeys(symbols):
        places = [i for i in range(count) if symbols[i] == symbol]
        look = {
            "marker": MARKERS[symbol.removesuffix("-open")],
            "s": [(sizes[i] * SCALE) ** 2 for i in places],
            **_filling(symbol, [_colour(colours[i]) for i in places]),
            "linewidths": 1.0,
            "alpha": marker.get("opacity"),
        }
        yield places, look


def _filling(symbol: str, colours: list[Any]) -> dict[str, Any]:
    if symbol.startswith("line"):
        return {"color": colours}  # these have no inside
    return {"edgecolors": colours, "facecolors": "none" if symbol.endswith("-open") else colours}


def _contour(axes: Any, trace: dict[str, Any], order: float) -> None:
    assert set(trace) <= CONTOUR, f"not drawn: {set(trace) - CONTOUR}"
    level = trace["contours"]["start"]
    drawn = axes.contour(
        trace["x"], trace["y"], trace["z"], levels=[level], colors=trace["line"]["color"], linewidths=0.8, zorder=order
    )
    axes.clabel(drawn, fmt=lambda value: f"{value:.3g}", fontsize=7)


def _level(axes: Any, shape: dict[str, Any]) -> None:
    """A line across the panel."""
    assert shape["type"] == "line"
    line = _line(shape["line"])
    if shape.get("yref") == "paper":
        axes.axvline(shape["x0"], **line, zorder=1.9)
    else:
        assert shape.get("xref") == "paper"
        axes.axhline(shape["y0"], **line, zorder=1.9)


def _legend(axes: Any, data: list[dict[str, Any]], layout: dict[str, Any]) -> None:
    """Above the panel, from its left end, as on the page."""
    named = [trace for trace in data if trace.get("name") and trace.get("showlegend", True)]
    handles = []
    for trace in named:
        look = _line(trace["line"]) if "lines" in trace["mode"] else {"color": trace["line"]["color"], "linestyle": ""}
        marker = {"marker": MARKERS[trace["marker"]["symbol"]], "markersize": trace["marker"]["size"] * SCALE}
        (handle,) = axes.plot([], [], **look, **marker)
        handles.append(handle)
    if handles:
        place = {"loc": "lower left", "bbox_to_anchor": (0.0, 1.0), "borderaxespad": 0.2, "frameon": False}
        names = [_text(trace["name"]) for trace in named]
        axes.legend(handles, names, **place, ncols=3, fontsize=8, handlelength=1.8, columnspacing=1.2)


def _line(line: dict[str, Any]) -> dict[str, Any]:
    width = 0.75 * line["width"]
    return {"color": _colour(line["color"]), "linestyle": DASHES[line["dash"]], "linewidth": width}


def _colour(colour: str) -> Any:
    """'#rrggbb', or 'rgba(r,g,b,a)' as matplotlib takes it."""
    found = re.fullmatch(r"rgba\((\d+),(\d+),(\d+),([\d.]+)\)", colour)
    return (*(int(channel) / 255 for channel in found.groups()[:3]), float(found[4])) if found else colour


def _text(label: str) -> str:
    """Plotly's label text as plain text."""
    lines = re.sub(r"<br\s*/?>", "\n", label)
    return html.unescape(re.sub(r"</?(b|i|sub|sup)>", "", lines))
