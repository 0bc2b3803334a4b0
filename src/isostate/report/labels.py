"""Numbers and names as a reader sees them, and names made harmless.

A name (a study's, a family's, a corpus's path, an error's reason) is whatever somebody typed. `plain` makes its control
and bidirectional characters visible, `plotly_text` also escapes the few HTML tags that plotly reads in labels.
"""

from __future__ import annotations

import html
import math
import re

GREEK = {
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "delta": "δ",
    "eps": "ε",
    "eta": "η",
    "sigma": "σ",
    "tau": "τ",
    "chi": "χ",
}
PREFIXES = ("", "K", "M", "G", "T", "P", "E")


def plain(text: object) -> str:
    """`text` in printable characters only: U+202E (right-to-left override) becomes the six characters \\u202e."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in str(text))


def plotly_text(text: object) -> str:
    """`text` for a plotly label, where tags, entities, $math$ and %{fields} mean something that a name must not."""
    return html.escape(plain(text), quote=False).replace("$", "&#36;").replace("%", "&#37;")


def symbols(text: object) -> str:
    """A law's names as they are written by hand: alpha_B -> α_B, L_inf -> L∞. Everything else stays, made printable."""
    written = re.sub(r"(?<![A-Za-z])[a-z]+(?![A-Za-z])", lambda word: GREEK.get(word[0], word[0]), plain(text))
    return re.sub(r"_inf(?![A-Za-z])", "∞", written)


def decimal(count: float) -> str:
    """Elements, parameters, tokens or FLOPs: 131072 -> 131K. K = 1,000 everywhere; contexts are written out."""
    power = 0
    # 999.5 would print as 1000 of the smaller unit
    while power < len(PREFIXES) - 1 and abs(count) / 1000**power >= 999.5:
        power += 1
    return f"{_short(count / 1000**power)}{PREFIXES[power]}"


def _short(value: float) -> str:
    """Three significant digits, no trailing zeros, never an exponent."""
    if value == 0:
        return "0"
    decimals = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def tick(value: float) -> str:
    """A number as the field writes sizes: 0.02, 1.5M, 20B; powers of ten from 10¹⁵ on, as it writes FLOPs."""
    if value != 0 and not 1e-3 <= abs(value) < 999.5e12:
        mantissa, exponent = f"{value:.1e}".split("e")
        power = f"10{str(int(exponent)).translate(RAISED)}"
        return power if mantissa == "1.0" else f"{mantissa.removesuffix('.0')}·{power}"
    return decimal(value).replace("G", "B") if abs(value) >= 999.5 else f"{value:.3g}"


def number(value: float | None, digits: int = 4) -> str:
    """`value` with so many significant digits; an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value != 0 and not 1e-3 <= abs(value) < 1e5:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(exponent)}"
    return f"{value:.{digits}g}" if abs(value) < 1 else f"{value:.{max(0, digits - len(str(int(abs(value)))))}f}"


def loss(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def interval(low: float | None, high: float | None) -> str:
    return f"[{number(low, 3)}, {number(high, 3)}]"


def percent(share: float | None) -> str:
    """A share as a percentage: 0.0123 -> 1.2 %."""
    if share is None:
        return "–"
    return (f"{100 * share:.2g} %" if abs(share) < 0.1 else f"{100 * share:.0f} %").replace("-", "−")


def duration(seconds: float | None) -> str:
    """4.25 -> 4.2 s, 252 -> 4 min 12 s, 9000 -> 2 h 30 min."""
    if seconds is None:
        return "–"
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}" if count == 1 else f"{count:,} {word}s"


def listing(words: list[str], conjunction: str = "and") -> str:
    """a | a and b | a, b and c."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"
