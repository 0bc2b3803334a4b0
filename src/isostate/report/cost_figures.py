"""How a model's costs grow with its context or its batch: seconds, bytes and FLOPs, as a page, PNG or SVG."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path
from string import Template
from typing import Any

from isostate.config import UserError, nearest
from isostate.records import durable
from isostate.report import labels, static, style, tables, traces
from isostate.report.inline import asset, data_block, policy, pooled
from isostate.report.page import section
from isostate.report.views import Figure, View, control, figure

FORMATS = ("html", "png", "svg")
Line = tuple[str, str]  # words, number of the sheet
SECONDS: list[Line] = [("prefill", "forward.seconds"), ("a decoded step", "decode.seconds")]
BYTES: list[Line] = [
    ("weights", "weights_bytes"), ("state of the batch", "state.batch_bytes"), ("memory of the device", "memory_bytes"),
]  # fmt: skip
WORK: list[Line] = [("forward", "forward.matmul_flops"), ("a decoded token", "decode.token_flops")]
MEASURES = {
    "seconds": ("time", "seconds", SECONDS),
    "bytes": ("memory", "bytes", BYTES),
    "work": ("FLOPs", "FLOPs in matrix products", WORK),
}
AXES = {"context": "context (tokens)", "batch": "batch (sequences)"}


def sweep_figure(answer: dict[str, Any]) -> Figure:
    """`answer`: {"model", "axis", "rows", "setting"} of `isostate cost --sweep`. A tab a measure."""
    setting = answer["setting"]
    other = "batch" if answer["axis"] == "context" else "context"
    caption = (
        f"At {other} {setting[other]:,}, in {setting['dtype']}, on one {setting['hardware']}: FLOPs and bytes as they "
        "are counted, seconds by a roofline."
    )
    tabs = control("measure", "measure", "tabs", [(key, words) for key, (words, _, _) in MEASURES.items()])
    title = f"{answer['model']} against its {answer['axis']}"

    def draw(measure: str) -> View:
        return _view(answer, measure)

    return figure("sweep", title, caption, [tabs], draw, lambda measure: int(measure == "seconds"))


def write_sweep(answer: dict[str, Any], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Writes sweep-AXIS.html, .png, .svg into `folder`; returns the paths. Raises UserError for another format."""
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"no figures as {name!r}{nearest(name, FORMATS)}; allowed: {', '.join(FORMATS)}")
    drawn = sweep_figure(answer)
    stem = "sweep-" + re.sub(r"[^\w.-]+", "-", answer["axis"])
    files = {
        f"{stem}.{kind}": render_sweep(answer, drawn).encode() if kind == "html" else static.image(drawn, kind)
        for kind in formats
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        durable.write_atomic(folder / name, content)
    return [folder / name for name in files]


def render_sweep(answer: dict[str, Any], drawn: Figure) -> str:
    """The page: the figure, and the numbers that it draws."""
    scripts = {"plotly": asset("plotly-cartesian.min.js"), "script": asset("page.js")}
    heads = [answer["axis"], *(f"{words}<br>{unit}" for _, words, unit in _columns(answer))]
    rows = [
        tables.body([(f"{row[answer['axis']]:,}", row[answer["axis"]]),
                     *((labels.number(row[key], 4), row[key]) for key, _, _ in _columns(answer))])
        for row in answer["rows"]
    ]  # fmt: skip
    return Template(asset("sweep.html")).substitute(
        policy=policy(list(scripts.values())),
        style=asset("page.css"),
        **scripts,
        title=html.escape(labels.plain(drawn["title"])),
        name=tables.name(f"isostate cost --sweep {answer['axis']}"),
        figures=section(1, drawn),
        numbers=tables.sortable("sweep", heads, rows, ""),
        data=data_block(pooled([drawn])),
    )


def _columns(answer: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(number, words, unit) of what the first row has, once each."""
    listed = [(key, words, unit) for _, unit, lines in MEASURES.values() for words, key in lines]
    return [column for column in listed if answer["rows"][0].get(column[0]) is not None]


def _view(answer: dict[str, Any], measure: str) -> View:
    _, unit, lines = MEASURES[measure]
    rows, axis = answer["rows"], answer["axis"]
    drawn = [(words, key) for words, key in lines if rows[0].get(key) is not None]
    names, x, data = [words for words, _ in lines], [row[axis] for row in rows], []
    for words, key in drawn:
        # a state that does not grow may be nothing: a logarithm has no place for it
        known = [(at, row[key]) for at, row in zip(x, rows, strict=True) if row[key] > 0]
        if not known:
            continue
        look = style.of_family(words, names)
        at, values = ([float(pair[i]) for pair in known] for i in (0, 1))
        data.append(traces.line(at, values, look))
        spoken = [f"{words}<br>{axis} {int(a):,}<br>{labels.number(v, 4)} {unit}" for a, v in known]
        data.append(traces.points(at, values, traces.marker(look["symbol"], look["color"], 6.0), spoken))
        data.append(traces.legend_entry(words, look))
    every = [value for trace in data for value in (trace["y"] or []) if value]
    low, high = min(every), max(every)
    layout = {
        "xaxis": style.log_axis(AXES[axis], min(x), max(x)),
        "yaxis": style.decimal_axis(unit, low, max(high, 1.0001 * low)),
    }
    return {"data": data, "layout": layout, "note": ""}
