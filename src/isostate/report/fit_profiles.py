"""What the points say of each parameter: its profile likelihood, and the bootstrap's spread of what follows from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from isostate.laws import Fit
from isostate.laws.law import Array
from isostate.laws.result import Interval, ParameterProfile
from isostate.report import fitted, labels, style, traces
from isostate.report.fit_data import ALONE
from isostate.report.traces import Look, Trace
from isostate.report.views import Figure, View, control, empty, figure

HIGH = 4.0  # a profile is drawn up to so many times the rise at which its interval ends
BINS = 40
PROFILE = (
    "How much worse the best fit gets when one parameter is held at another value, all others refitted: the rise of "
    "−2 log likelihood, 1 where the interval ends. A profile that stays below 1 on a side says that nothing bounds the "
    "parameter there."
)
BOOTSTRAP = "The law refitted to resampled points; the bar is the interval that the draws give, the dot its value."


def profile_panels(fit: Fit, given: Mapping[str, ParameterProfile] | None = None) -> Figure:
    """The profile of each parameter: those given, or the fit's own."""
    title = "Profile of each parameter"
    found = dict(given or fit.profiles)
    if not found:
        return empty("profile", title, PROFILE, "The fit was made without profiles (profile_points = 0).")
    names = [name for name in fit.law.names if name in found]

    def draw(parameter: str) -> View:
        layout = {**profile_layout([found[parameter]], parameter), "showlegend": False}
        return {"data": profile_traces(found[parameter], ALONE), "layout": layout, "note": _ends(fit, found[parameter])}

    chosen = [control("parameter", "parameter", "tabs", [(name, labels.symbols(name)) for name in names])]
    return figure("profile", title, PROFILE, chosen, draw, lambda parameter: int(parameter == names[0]))


def profile_traces(profile: ParameterProfile, look: Look) -> list[Trace]:
    """The rise in units of its threshold, and the interval's ends where it crosses 1."""
    rise = profile.rise / profile.threshold
    shown = _below(rise)
    values, heights = profile.values[shown], rise[shown]
    value, low, high = profile.interval.value, profile.interval.low, profile.interval.high
    name = labels.plotly_text(labels.symbols(profile.name))
    ends = [end for end in (low, high) if end is not None]
    text = f"{name} = {labels.number(value)} {labels.interval(low, high)}"
    heard = {"hoverinfo": "text", "hovertext": [f"{name} = {labels.number(float(at))}" for at in values]}
    best = traces.points([value], [0.0], traces.marker(look["symbol"], look["color"], 8.0), [text])
    edges = traces.points(ends, [1.0] * len(ends), traces.marker("line-ns", look["color"], 12.0), [text] * len(ends))
    return [{**traces.line(values, heights, look), **heard}, edges, best]


def _below(rise: Array) -> slice:
    """From the first to the last value whose rise is below HIGH, and one more on either side."""
    low = np.flatnonzero(rise < HIGH)
    return slice(max(int(low[0]) - 1, 0), int(low[-1]) + 2)


def profile_layout(found: list[ParameterProfile], title: str) -> dict[str, Any]:
    """Axes for profiles of one parameter, of one fit or several."""
    shown = [profile.values[_below(profile.rise / profile.threshold)] for profile in found]
    lowest = min(0.0, *(float((profile.rise / profile.threshold).min()) for profile in found))
    highest = min(HIGH, max(float((profile.rise / profile.threshold).max()) for profile in found))
    return {
        "xaxis": fitted.axis("", np.concatenate(shown), labels.plotly_text(labels.symbols(title))),
        "yaxis": style.plain_axis("rise of −2 log L (1 = end of interval)", range=[lowest - 0.15, max(1.5, highest)]),
        "shapes": [traces.level("y", 1.0)],
    }


def _ends(fit: Fit, profile: ParameterProfile) -> str:
    interval = profile.interval
    words = f"{labels.symbols(profile.name)} = {labels.number(interval.value)}, {100 * fit.level:g} % interval of the "
    words += f"profile {labels.interval(interval.low, interval.high)}"
    return words + (f", open on the {' and '.join(profile.open_ends)} side." if profile.open_ends else ".")


def bootstrap(fit: Fit) -> Figure:
    """The draws of what follows from the parameters; of the parameters where nothing is derived."""
    title = "Bootstrap of what follows from the law" if fit.law.derived else "Bootstrap of the parameters"
    if fit.draws is None:
        words = "The fit was made without a bootstrap (bootstrap = 0)."
        return empty("bootstrap", title, BOOTSTRAP, words)
    drawn = dict(zip(fit.law.names, fit.draws.T, strict=True))
    shown = {name: (np.asarray(rule(drawn)), fit.derived[name]) for name, rule in fit.law.derived.items()}
    # of a fit whose intervals are the profiles', the bootstrap has its own
    shown = shown or {name: (column, fit.bootstrap.get(name, fit.params[name])) for name, column in drawn.items()}

    def draw(quantity: str) -> View:
        return _histogram(quantity, *shown[quantity])

    names = list(shown)
    chosen = [control("quantity", "quantity", "tabs", [(name, labels.symbols(name)) for name in names])]
    return figure("bootstrap", title, BOOTSTRAP, chosen, draw, lambda quantity: int(quantity == names[0]))


def _histogram(name: str, draws: Array, interval: Interval) -> View:
    """Draws as steps, the value and its interval above them. The outermost two in a thousand are left out."""
    finite = draws[np.isfinite(draws)]
    if not len(finite):
        return {"missing": f"No resample gave a finite {labels.symbols(name)}."}
    ends = [end for end in (interval.low, interval.high) if end is not None]
    low, high = np.quantile(finite, [0.001, 0.999])
    low, high = min(low, interval.value, *ends), max(high, interval.value, *ends)
    if not high > low:
        return {"missing": f"Every resample gave {labels.symbols(name)} = {labels.number(float(low))}."}
    edges = _edges(finite, float(low), float(high))
    counts, _ = np.histogram(finite, edges)
    x = [edges[0], *np.repeat(edges[1:-1], 2), edges[-1]]
    y = np.repeat(counts, 2)
    top = 1.08 * float(counts.max())
    written = labels.plotly_text(labels.symbols(name))
    text = f"{written} = {labels.number(interval.value)} {labels.interval(interval.low, interval.high)}"
    colour = ALONE["color"]
    data = [traces.band(x, np.zeros(len(y)), y, colour), traces.line(x, y, ALONE, width=1.2)]
    if len(ends) == 2:
        data.append(traces.bar((interval.value, top), (ends[0], ends[1]), "x", style.RING, "circle", text))
    else:
        data.append(traces.points([interval.value], [top], traces.marker("circle", style.RING, 8.0), [text]))
    outside = len(finite) - int(counts.sum()) + len(draws) - len(finite)
    layout = {
        "xaxis": fitted.axis("", np.array([low, high]), written),
        "yaxis": style.plain_axis(f"resamples, of {len(draws):,}", range=[0, 1.16 * float(counts.max())]),
        "showlegend": False,
    }
    note = f"{labels.plural(outside, 'resample')} beyond the axis." if outside else ""
    return {"data": data, "layout": layout, "note": note}


def _edges(draws: Array, low: float, high: float) -> Array:
    """Ends of the histogram's bins. Draws on a grid (a searched exponent) get as many of its values in each bin."""
    count = min(BINS, int(2 * np.cbrt(len(draws))))  # Rice's rule
    values = np.unique(draws[(draws >= low) & (draws <= high)])
    if 2 * len(values) < len(draws) and len(values) > 2:
        first = np.arange(0, len(values), -(-len(values) // count))[1:]
        return np.array([low, *(0.5 * (values[first] + values[first - 1])), high])
    wide = low > 0 and high > fitted.SPANS * low
    return np.geomspace(low, high, count + 1) if wide else np.linspace(low, high, count + 1)
