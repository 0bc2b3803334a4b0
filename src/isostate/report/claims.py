"""A claim held against a measured interval: confirmed, refuted or undecided, by one rule for all."""

from __future__ import annotations

from typing import Any, Literal

Verdict = Literal["confirmed", "refuted", "undecided"]
ORDER = 10.0  # "of the same order": within this factor either way


def of_exponent(interval: dict[str, Any] | None, claimed: float, within: float = 0.25) -> Verdict:
    """Refuted where the interval leaves the claim out; confirmed where it lies within `within` of it on both sides;
    else it is too wide to tell."""
    if interval is None or interval["low"] is None or interval["high"] is None:
        return "undecided"
    if not interval["low"] <= claimed <= interval["high"]:
        return "refuted"
    return "confirmed" if claimed - within <= interval["low"] and interval["high"] <= claimed + within else "undecided"


def of_order(interval: dict[str, Any] | None, claimed: float) -> Verdict:
    """Of a quantity said to be of the order of `claimed`, by its interval."""
    if interval is None or interval["low"] is None or interval["high"] is None:
        return "undecided"
    low, high = claimed / ORDER, claimed * ORDER
    if interval["high"] < low or interval["low"] > high:
        return "refuted"
    return "confirmed" if low <= interval["low"] and interval["high"] <= high else "undecided"
