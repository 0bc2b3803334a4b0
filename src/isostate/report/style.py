"""How families and states look: colours that colour-blind readers tell apart, on white and on black, and markers.

Each colour has a contrast of at least 3 against both page backgrounds, and within that the first five were sought to
be as far apart as can be in normal, deuteranopic and protanopic vision; markers and dashes repeat what they say, for
print in grey.
"""

from __future__ import annotations

import math
from typing import Any

from isostate.report import labels

COLOURS = ("#0c6ccc", "#cc8400", "#c0243c", "#009ca8", "#6a45f5", "#8a8f78", "#9c486c", "#d87048")
MARKERS = ("circle", "square", "diamond", "triangle-up", "pentagon", "hexagon", "star", "triangle-down")
GLYPHS = dict(zip(MARKERS, "●■◆▲⬟⬢★▼", strict=True))  # a marker in a line of text
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
RAMP = ("#2f6fd0", "#7a62d8", "#b153b5", "#cf5070", "#c8641f", "#a67c00")  # small to large, even in lightness
GATED = "-gated"  # how a family with a gate is called
NEUTRAL = "#7d858c"
LOSS_SCALE = "Cividis"  # read alike with and without colour vision
RING = "#e8442e"  # seen on every colour of the scale


def of_family(family: str, every: list[str]) -> dict[str, str]:
    """Colour, marker and dash of a family, by its place among the study's.

    With a gate and without, a family has one colour: the second of the two has its own marker and dash. So has the
    ninth, which takes the first's colour again.
    """
    stems = list(dict.fromkeys(without_gate(name) for name in every))
    place = stems.index(without_gate(family))
    marker, dash = (len(MARKERS) // 2, len(DASHES) // 2) if _is_second(family, every) else (0, 0)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "symbol": MARKERS[(place + place // len(COLOURS) + marker) % len(MARKERS)],
        "dash": DASHES[(place + dash) % len(DASHES)],
    }


def by_colour(family: str, every: list[str]) -> dict[str, str]:
    """As `of_family`, where colour alone tells lines apart: solid, but of the second of two that share theirs."""
    return {**of_family(family, every), "dash": "dash" if _is_second(family, every) else "solid"}


def _is_second(family: str, every: list[str]) -> bool:
    """Whether its colour is first another's, with a gate or without."""
    return next(name for name in every if without_gate(name) == without_gate(family)) != family


def without_gate(family: str) -> str:
    """The family's name, whether it has a gate or not."""
    return family.removesuffix(GATED)


def of_rank(rank: int, count: int) -> dict[str, str]:
    """Colour, marker and dash of the state that is `rank`-th of `count`."""
    position = rank / max(count - 1, 1) * (len(RAMP) - 1)
    low = min(int(position), len(RAMP) - 2)
    colour = _mix(RAMP[low], RAMP[low + 1], position - low)
    return {"color": colour, "symbol": MARKERS[rank % len(MARKERS)], "dash": "solid"}


def faded(colour: str, opacity: float) -> str:
    """'#rrggbb' as rgba."""
    red, green, blue = _channels(colour)
    return f"rgba({red},{green},{blue},{opacity})"


def _mix(first: str, second: str, share: float) -> str:
    pairs = zip(_channels(first), _channels(second), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def log_axis(title: str, low: float, high: float, most: int = 8) -> dict[str, Any]:
    """A log axis of tokens with ticks at powers of two, written out: 512, 2,048, 8,192; at most `most` of them."""
    first, last = math.floor(math.log2(low)), math.ceil(math.log2(high))
    step = max(1, math.ceil((last - first) / (most - 1)))
    ticks = [2**power for power in range(first, last + 1, step)] if first >= 0 else []
    pad = 0.04 * max(math.log10(high / low), 0.3)
    return {
        "type": "log",
        "title": {"text": title},
        "range": [math.log10(low) - pad, math.log10(high) + pad],
        "tickvals": ticks,
        "ticktext": [f"{tick:,}" for tick in ticks],
    }


MANTISSAS = ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 7))  # of ticks in a decade, ever finer
TENTHS = tuple(digit / 10 for digit in range(10, 100))


def decimal_axis(title: str, low: float, high: float, most: int = 7) -> dict[str, Any]:
    """A log axis with ticks at 1, 10, 100 or, where these are too few, at round numbers between: at least two."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = range(first, last + 1)
    ticks: list[float] = []
    for digits in (*MANTISSAS, TENTHS):
        ticks = [digit * 10.0**power for power in decades for digit in digits]
        ticks = [tick for tick in ticks if 0.999 * low <= tick <= 1.001 * high]
        if len(ticks) >= (3 if digits is not TENTHS else 2):
            break
    ticks = ticks[:: max(1, math.ceil(len(ticks) / most))] or [low]
    pad = 0.04 * max(math.log10(high / low), 0.3)
    return {
        "type": "log",
        "title": {"text": title},
        "range": [math.log10(low) - pad, math.log10(high) + pad],
        "tickvals": ticks,
        "ticktext": [labels.tick(tick) for tick in ticks],
    }


def round_values(low: float, high: float, most: int = 8) -> list[float]:
    """At most `most` round values strictly between: evenly spaced, or 1, 2, 5 of each decade where these span two."""
    if low > 0 and high > 100.0 * low:
        decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        values = [digit * 10.0**power for power in decades for digit in (1, 2, 5)]
    else:
        unit = 10.0 ** math.floor(math.log10((high - low) / most))
        step = next(unit * digit for digit in (1, 2, 2.5, 5, 10) if (high - low) / (unit * digit) <= most)
        values = [step * i for i in range(math.floor(low / step), math.ceil(high / step) + 1)]
    inside = [float(f"{value:.12g}") for value in values if low < value < high]
    return inside[:: max(1, math.ceil(len(inside) / most))]


def plain_axis(title: str, **more: Any) -> dict[str, Any]:
    return {"title": {"text": title}, **more}


def loss_axis(title: str = "loss (nats per token)") -> dict[str, Any]:
    return {"title": {"text": title}}
