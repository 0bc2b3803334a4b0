"""A claim held against a measured interval: confirmed, refuted or undecided, by one rule for all.

A claim names the values that it allows: an exponent one value, an order a range, a direction all on one side. It is
refuted where no allowed value lies in the 95 % interval, and confirmed where the whole interval is allowed (of a single
value: lies within a stated distance of it); else it is undecided.

Of several parts that must all hold, each confirms by its own 95 % interval, and one that is refuted is enough: since
each of k parts may be refuted by chance, that one is judged by its 1 - 0.05/k interval (Bonferroni). Where one of
several parts is enough, it is the other way round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

Verdict = Literal["confirmed", "refuted", "undecided"]
Range = tuple[float, float]
ORDER = 10.0  # "of the same order": within this factor either way
LEVEL = 0.95
POSITIVE: Range = (math.nextafter(0.0, 1.0), math.inf)
NEGATIVE: Range = (-math.inf, math.nextafter(0.0, -1.0))


def verdict(low: float | None, high: float | None, allowed: Range, within: float = 0.0) -> Verdict:
    """Of the values from `low` to `high`, where those of `allowed` are claimed; without an end nothing is decided.

    A confirmed interval may leave the allowed values by `within`; where that is negative, it stays as far inside.
    """
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return "undecided"
    if high < allowed[0] or low > allowed[1]:
        return "refuted"
    return "confirmed" if allowed[0] - within <= low and high <= allowed[1] + within else "undecided"


def of_exponent(interval: dict[str, Any] | None, claimed: float, within: float = 0.25) -> Verdict:
    """Of one claimed value: an interval that holds it confirms it where it lies within `within` of it on both sides."""
    return "undecided" if interval is None else verdict(interval["low"], interval["high"], (claimed, claimed), within)


def of_order(interval: dict[str, Any] | None, claimed: float) -> Verdict:
    """Of a quantity said to be of the order of `claimed`, by its interval."""
    if interval is None:
        return "undecided"
    return verdict(interval["low"], interval["high"], (claimed / ORDER, claimed * ORDER))


def strict(count: int, level: float = LEVEL) -> float:
    """The level of the interval of one of `count` parts that alone would decide."""
    return 1.0 - (1.0 - level) / max(count, 1)


def all_of(parts: Sequence[Verdict], strictly: Sequence[Verdict]) -> Verdict:
    """Whether all parts hold: their verdicts by 95 % intervals, and by those of `strict`. Of no part: undecided."""
    if any(part == "refuted" for part in strictly):
        return "refuted"
    return "confirmed" if parts and all(part == "confirmed" for part in parts) else "undecided"


def any_of(parts: Sequence[Verdict], strictly: Sequence[Verdict]) -> Verdict:
    """Whether some part holds."""
    if any(part == "confirmed" for part in strictly):
        return "confirmed"
    return "refuted" if parts and all(part == "refuted" for part in parts) else "undecided"
