"""Amounts on the command line: '1e23,1e24', 'N=7e9,D=1.4e12', and grids 'N=1e8:1e10:8,D=1e9'."""

from __future__ import annotations

import math

from isostate.config import UserError

MOST_STEPS = 1000  # of one axis of a grid
BINARY = {"k": 2**10, "m": 2**20, "g": 2**30}


def numbers_of(text: str, option: str) -> tuple[float, ...]:
    """'1e23,1e24': positive finite numbers."""
    return tuple(number_of(part, option) for part in text.split(","))


def number_of(text: str, option: str) -> float:
    """One positive finite number. Raises UserError naming the option."""
    try:
        value = float(text)
    except ValueError:
        raise UserError(f"{option}: {text.strip()!r} is not a number") from None
    if not (math.isfinite(value) and value > 0):
        raise UserError(f"{option}: {text.strip()} is not a positive finite number")
    return value


def size_of(text: str, option: str) -> int:
    """'4096', '32k', '1M': a whole number of at least 1; k, M and G are 1,024 and its powers."""
    digits, unit = text.strip(), 1
    if digits and digits[-1].lower() in BINARY:
        digits, unit = digits[:-1], BINARY[digits[-1].lower()]
    value = number_of(digits, option) * unit
    if value != int(value):
        raise UserError(f"{option}: {text.strip()!r} is not a whole number; such as 4096, 32k or 1M")
    return int(value)


def doubled(text: str, option: str) -> list[int]:
    """'1k..1M': from the first to the last, each twice the one before. Raises UserError for anything else."""
    first, dots, last = text.partition("..")
    if not dots:
        raise UserError(f"{option}: {text!r}: expected LOW..HIGH, such as 1k..1M")
    low, high = size_of(first, option), size_of(last, option)
    if low > high:
        raise UserError(f"{option}: {text!r}: expected LOW..HIGH with LOW at most HIGH")
    values = [low]
    while 2 * values[-1] <= high:
        values.append(2 * values[-1])
    return values if values[-1] == high else [*values, high]


def amounts_of(text: str | None, option: str) -> dict[str, float]:
    """'N=7e9,D=1.4e12': a positive number a name."""
    return {name: number_of(value, option) for name, value in _pairs(text, option).items()}


def axes_of(text: str | None, option: str) -> dict[str, list[float]]:
    """'N=1e8:1e10:8,D=1e9': values a name, even in the logarithm from the first to the last."""
    axes = {}
    for name, value in _pairs(text, option).items():
        parts = value.split(":")
        if len(parts) == 1:
            axes[name] = [number_of(value, option)]
            continue
        if len(parts) != 3:
            raise UserError(f"{option}: {name}={value}: expected LOW:HIGH:COUNT, such as 1e8:1e10:8, or one value")
        low, high = number_of(parts[0], option), number_of(parts[1], option)
        count = number_of(parts[2], option)
        if count != int(count) or not 2 <= count <= MOST_STEPS or low >= high:
            raise UserError(f"{option}: {name}={value}: expected LOW below HIGH, and COUNT from 2 to {MOST_STEPS:,}")
        ratio = math.log(high / low)
        steps = int(count) - 1
        axes[name] = [*(low * math.exp(ratio * i / steps) for i in range(steps)), high]
    return axes


def _pairs(text: str | None, option: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in (text or "").split(",") if text is not None else []:
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not (name and equals and value):
            raise UserError(f"{option}: {part.strip()!r}: expected NAME=VALUE, such as N=7e9")
        if name in pairs:
            raise UserError(f"{option} names {name} twice; once is enough")
        pairs[name] = value
    return pairs
