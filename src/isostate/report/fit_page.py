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
    rows = [_row(name, interval, fit, "") for name, interval in fit.params.items()]
    rows += [_row(name, interval, fit, "follows") for name, interval in fit.derived.items()]
    head = ["", "value", f"{100 * fit.level:g} % interval", "standard<br>error", "profile interval"]
    method = html.escape(labels.plain(f"Intervals: {fit.interval_method}."))
    return tables.sortable("fit", head, [tables.body(row) for row in rows], method)


def _row(name: str, interval: Interval, fit: Fit, kind: str) -> list[tables.Cell]:
    profile = fit.profiles.get(name)
    shown = "–" if profile is None else labels.interval(profile.interval.low, profile.interval.high)
    bounded = interval.low is not None or interval.high is not None
    return [
        (tables.name(labels.symbols(name)) + (f" <small>{kind}</small>" if kind else ""), name),
        (labels.number(interval.value, 5), interval.value),
        (labels.interval(interval.low, interval.high) if bounded else "–", interval.low),
        (labels.number(interval.se, 3), interval.se),
        (shown, None if profile is None else profile.interval.low),
    ]
