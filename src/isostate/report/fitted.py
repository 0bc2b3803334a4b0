"""A `Fit` read for drawing: its points as columns, what it predicts, its lines with bands, its inputs in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isostate.laws import Curve, Fit
from isostate.laws.law import Array
from isostate.report import labels, style

LINES = 5  # at most: values of another input at which a law is drawn
DRAWS = 1000  # of the bootstrap that a band is made of: its ends then stray by a fiftieth of its width
WORDS = {  # what the symbols of laws.LAWS stand for
    "N": "parameters",
    "D": "tokens",
    "C": "FLOPs",
    "S": "state elements",
    "T": "context tokens",
    "U": "unique tokens",
    "M": "tokens per parameter",
    "E": "experts",
    "G": "granularity",
    "P": "bits a weight",
    "B": "batch size",
    "L": "loss",
    "Err": "downstream error",
    "lr": "learning rate",
    "B_crit": "critical batch size",
}
CONTEXT = "T"  # written out, its ticks powers of two
SPANS = 4.0  # an axis is logarithmic where its values span more than this


@dataclass(frozen=True)
class Columns:
    """The points of a fit: `x` by symbol, each (points,); `y` observed."""

    x: dict[str, Array]
    y: Array
    held: NDArray[np.bool_]


def columns(fit: Fit) -> Columns:
    """The points as columns. Fits in one resource call their input "x", whatever its symbol."""
    x = {}
    for symbol in fit.law.inputs:
        key = symbol if symbol in fit.points[0] else "x"
        x[symbol] = np.array([point[key] for point in fit.points], dtype=float)
    y = np.array([point["y"] for point in fit.points], dtype=float)
    return Columns(x, y, np.array([point["held_out"] for point in fit.points], dtype=bool))


def residuals(fit: Fit) -> Array:
    """Observed over predicted, less one."""
    table = columns(fit)
    return table.y / fit.predict(table.x) - 1.0


def word(symbol: str) -> str:
    """'loss', or the symbol itself where no word is known for it."""
    return WORDS.get(symbol, labels.plain(symbol))


def tab(symbol: str) -> str:
    """'N, parameters', for a control."""
    return f"{labels.plain(symbol)}, {WORDS[symbol]}" if symbol in WORDS else labels.plain(symbol)


def title(symbol: str) -> str:
    """The same at an axis."""
    return labels.plotly_text(tab(symbol))


def amount(symbol: str, value: float) -> str:
    """'N = 1.5B', 'T = 2,048'."""
    number = f"{value:,.0f}" if symbol == CONTEXT and value >= 1 else labels.tick(value)
    return f"{labels.plotly_text(symbol)} = {number}"


def axis(symbol: str, values: Array, words: str | None = None) -> dict[str, Any]:
    """A log axis for what spans a factor of SPANS or more, else a plain one; it holds all of `values`."""
    text, low, high = words or title(symbol), float(np.min(values)), float(np.max(values))
    if low <= 0 or high < SPANS * low:
        room = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        return style.plain_axis(text, range=[low - room, high + room])
    if symbol == CONTEXT and low >= 1 and high < 2**40:
        return style.log_axis(text, low, high)
    return style.decimal_axis(text, low, high)


def with_room(values: Array, beside: Sequence[float]) -> Array:
    """`values`, and of what is drawn `beside` them as much as does not press them flat: half as far again."""
    low, high = float(values.min()), float(values.max())
    reach = 0.5 * (high - low)
    lowest = low - reach if low <= 0 or reach < low else 0.5 * low  # what is above 0 stays so
    return np.concatenate([values, np.clip(np.array(beside, dtype=float), lowest, high + reach)])


def levels(column: Array) -> list[float]:
    """At most LINES values that stand for a column: its own where they are few, else evenly spaced quantiles."""
    distinct = np.unique(column)
    if len(distinct) <= LINES:
        return [float(value) for value in distinct]
    quantiles = np.quantile(np.log(column), np.linspace(0.05, 0.95, LINES))
    return sorted({float(f"{value:.2g}") for value in np.exp(quantiles)})


def nearest_level(column: Array, chosen: list[float]) -> NDArray[np.intp]:
    """For each value the index of the level next to it in the logarithm."""
    return np.argmin(np.abs(np.log(column)[:, None] - np.log(chosen)[None, :]), axis=1)


def typical(column: Array) -> float:
    """A value that occurs, in the middle."""
    return float(np.sort(column)[len(column) // 2])


def grid(column: Array, beyond: float = 1.0, count: int = 60) -> Array:
    """Values over the range of a column, evenly spaced on its axis; on a log axis `beyond` times its largest."""
    low, high = float(column.min()), float(column.max())
    if high < SPANS * low:
        return np.linspace(low, high, count)
    return np.geomspace(low, beyond * high, count)


def curve(fit: Fit, x: Mapping[str, Array]) -> Curve:
    """The law along `x`, with a band at the fit's level where the fit kept draws to make it from; else without."""
    along = {symbol: np.asarray(column, dtype=float) for symbol, column in x.items()}
    y = fit.predict(along)
    first = next(iter(along.values()))
    if fit.draws is None or fit.tail is None:
        return Curve(tuple(first), tuple(y))
    with np.errstate(all="ignore"):  # a wild draw may overflow: it is left out below
        spread = fit.law.predict_batch(fit.draws[:: max(1, len(fit.draws) // DRAWS)], along)
    spread = spread[np.isfinite(spread).all(axis=1)]
    if len(spread) < 20:  # as for the intervals of parameters
        return Curve(tuple(first), tuple(y))
    low, high = np.quantile(spread, [fit.tail, 1.0 - fit.tail], axis=0)
    return Curve(tuple(first), tuple(y), tuple(low), tuple(high))
