"""What of a fitted law in the state means something, as a reader may take it: words where a number would not.

A law whose exponent ended on the bound of its search is no power law, and its other parameters follow that bound. One
whose floor ended on 0 shows no floor: its exponent is a local slope. An interval that ends at the bound of the search
is open there, and so is that of A, which follows the exponent.
"""

from __future__ import annotations

from typing import Any

from isostate.report import labels

OPEN = "open"
NO_FLOOR = "no floor told"
NO_FIT = "no fit"


def has_exponent(entry: dict[str, Any]) -> bool:
    """Whether an entry of laws.json is a power law."""
    return bool(entry["params"]) and "alpha" not in entry["bound_hits"]


def has_floor(entry: dict[str, Any]) -> bool:
    """Whether it also tells what infinite state would come to."""
    return has_exponent(entry) and "L_inf" not in entry["bound_hits"]


def parameter(entry: dict[str, Any], name: str) -> tuple[str, str]:
    """A value and its interval, '3.406' and '[3.19, 3.47]'; words and nothing where they would mean nothing."""
    if not entry["params"]:
        return (NO_FIT, "") if name == "alpha" else ("–", "")
    found = entry["params"][name]
    if not has_exponent(entry):
        bound = entry["params"]["alpha"]["value"]
        return (f"no power law: α at its bound, {bound:.3g}", "") if name == "alpha" else ("–", "")
    if name == "L_inf" and not has_floor(entry):
        return NO_FLOOR, ""
    ends = entry["profiles"]["alpha"]["open_ends"]
    if name == "A" and ends:
        return labels.number(found["value"]), f"[{OPEN}]"
    low, high = (
        OPEN if name == "alpha" and side in ends else labels.number(found[side], 3) for side in ("low", "high")
    )
    return labels.number(found["value"]), f"[{low}, {high}]"


def resampled(entry: dict[str, Any]) -> str:
    """The exponent's interval by the bootstrap over seeds and points, '[0.31, 0.42]'; '' where there was none."""
    found = entry["bootstrap"].get("alpha")
    if found is None or not has_exponent(entry):
        return ""
    return f"[{', '.join(labels.number(found[side], 3) for side in ('low', 'high'))}]"


def brief(entry: dict[str, Any]) -> str:
    """'L∞ 3.41, α 0.36', for a head."""
    if not has_exponent(entry):
        return "no power law"
    floor, alpha = (entry["params"][key]["value"] for key in ("L_inf", "alpha"))
    return f"{f'L∞ {floor:.2f}' if has_floor(entry) else 'no floor'}, α {alpha:.2f}"


def warnings(entry: dict[str, Any]) -> str:
    """What the fit itself warns of, in words."""
    return "; ".join(labels.symbols(alarm) for alarm in entry["alarms"])
