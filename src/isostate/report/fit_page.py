"""The page of one fit: its equation, values, alarms and figures in a file that asks nothing of the network."""

from __future__ import annotations

import html
import re
from string import Template

from isostate.laws import Fit, Interval
from isostate.report import labels, tables
from isostate.report.inline import asset, data_block, policy, pooled
from isostate.report.page import section
from isostate.report.views import Figure

RAISED = re.compile(r"\^(-?\w+'?|-?\((?:[^()]|\([^()]*\))*\))")


def render_fit(fit: Fit, panels: list[Figure]) -> str:
    """The whole page, with the figures `panels` of `fit_panels(fit)`."""
    scripts = {"plotly": asset("plotly-cartesian.min.js"), "script": asset("page.js")}
    return Template(asset("fit.html")).substitute(
        policy=policy(list(scripts.values())),
        style=asset("page.css"),
        **scripts,
        title=html.escape(labels.plain(f"{fit.law.name}: {fit.law.equation}")),
        name=tables.name(f"{fit.law.name} · {fit.law.source}"),
        equation=equation(fit.law.equation),
        facts=html.escape(labels.plain(facts(fit))),
        values=values_table(fit),
        words=tables.said(fit.alarms, fit.advice),
        figures="".join(section(number, panel) for number, panel in enumerate(panels, start=1)),
        data=data_block(pooled(panels)),
    )


def equation(text: str) -> str:
    """An equation as it is written by hand: exponents raised, minus signs long."""
    return RAISED.sub(r"<sup>\1</sup>", html.escape(labels.symbols(text), quote=False)).replace("-", "−")


def facts(fit: Fit) -> str:
    """How the law was fitted, and to what."""
    held = sum(point["held_out"] for point in fit.points)
    words = [labels.plural(len(fit.points), "point") + (f" ({held} held out of the test)" if held else "")]
    words.append(fit.objective + ("" if fit.objective_value is None else f" = {labels.number(fit.objective_value, 6)}"))
    if fit.starts:
        words.append(f"{fit.starts_at_optimum:,} of {fit.starts:,} starts reached the optimum")
    return " · ".join(words)


def values_table(fit: Fit) -> str:
    """Parameters and what follows from them, each with its interval."""
    if not fit.params:
        return '<p class="empty">No fit: the alarms say why, the advice what would help.</p>'
    shown = {"value": _value, f"{100 * fit.level:g} % interval": _interval}
    every = {**fit.params, **fit.derived}
    if any(interval.se is not None for interval in every.values()):
        shown["standard<br>error"] = _error
    if any(profile.interval != fit.params[name] for name, profile in fit.profiles.items()):
        shown["profile interval"] = _profile  # beside those of a bootstrap
    rows = []
    for name, interval in every.items():
        kind = " <small>follows</small>" if name in fit.derived else ""
        first: tables.Cell = (tables.name(labels.symbols(name)) + kind, name)
        rows.append(tables.body([first, *(cell(name, interval, fit) for cell in shown.values())]))
    method = html.escape(labels.plain(f"Intervals: {fit.interval_method}."))
    return tables.sortable("fit", ["", *shown], rows, method)


def _value(name: str, interval: Interval, fit: Fit) -> tables.Cell:
    return labels.number(interval.value, 5), interval.value


def _interval(name: str, interval: Interval, fit: Fit) -> tables.Cell:
    bounded = interval.low is not None or interval.high is not None
    return (labels.interval(interval.low, interval.high) if bounded else "–"), interval.low


def _error(name: str, interval: Interval, fit: Fit) -> tables.Cell:
    return labels.number(interval.se, 3), interval.se


def _profile(name: str, interval: Interval, fit: Fit) -> tables.Cell:
    if name not in fit.profiles:
        return "–", None
    ends = fit.profiles[name].interval
    return labels.interval(ends.low, ends.high), ends.low
