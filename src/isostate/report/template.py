"""A text with placeholders, filled from numbers: what an article says is what the records say, or an error.

    {{ 01_state_laws.seed_noise.sd | .4f }}               a number by its path, as format(value, spec) writes it
    {{ a.laws[family=window, size=4x64].params.alpha | interval .2f }}      of a list the one entry with these values
    {{ a.settings[0].state | decimal }}                   or the one at a place; words in place of a format: WORDS
    {{ table: laws 01_state_laws }}                       a table by its name, and what it is asked for
    {{ needs: 02_context }} ... {{ end }}                 a part that is left out, with a sentence, without its study

A selector is looked for in the entry and in its "group". Everything that cannot be filled is told in one error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from isostate.config import UserError, nearest
from isostate.report import labels

Table = Callable[..., str]
PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
NEEDS = re.compile(r"\{\{\s*needs:\s*(\S+)\s*\}\}\n?(.*?)\{\{\s*end\s*\}\}\n?", re.DOTALL)
STEP = re.compile(r"([^.\[\]]+)((?:\[[^\]]*\])*)(?:\.|$)")
NOT_YET = "*Not trained yet: this part fills in when the records of `{}` are committed.*\n\n"
WORDS: dict[str, Callable[[Any], str]] = {
    "decimal": labels.decimal,
    "percent": labels.percent,
    "duration": labels.duration,
    "count": lambda value: str(len(value)),
    "words": str,
}


class UnfilledError(Exception):
    """What is wrong with one placeholder."""


def fill(template: str, values: Mapping[str, Any], tables: Mapping[str, Table], name: str = "template") -> str:
    """The text. Raises UserError naming every placeholder that cannot be filled."""
    wrong: list[str] = []

    def part(match: re.Match[str]) -> str:
        return match[2] if match[1] in values else NOT_YET.format(match[1])

    def one(match: re.Match[str]) -> str:
        try:
            return _filled(match[1].strip(), values, tables)
        except UnfilledError as error:
            wrong.append(f"{{{{ {match[1].strip()} }}}}: {error}")
            return ""

    filled = PLACEHOLDER.sub(one, NEEDS.sub(part, template))
    if wrong:
        raise UserError(f"{name}: {'; '.join(wrong)}")
    return filled


def _filled(inside: str, values: Mapping[str, Any], tables: Mapping[str, Table]) -> str:
    if inside.startswith("table:"):
        name, *asked = inside.removeprefix("table:").split()
        if name not in tables:
            raise UnfilledError(f"no table {name!r}{nearest(name, tables)}")
        return tables[name](*asked)
    if inside == "end" or inside.startswith("needs:"):
        raise UnfilledError("stands alone; a part begins with needs and ends with end")
    path, _, spec = (piece.strip() for piece in inside.partition("|"))
    return written(found(path, values), spec)


def found(path: str, values: Mapping[str, Any]) -> Any:
    """The value at the path. Raises UnfilledError naming the first step that leads nowhere."""
    at: Any = values
    place = 0
    while place < len(path):
        step = STEP.match(path, place)
        if step is None:
            raise UnfilledError(f"no path: {path[place:]!r}")
        name, selectors = step[1], re.findall(r"\[([^\]]*)\]", step[2])
        if not isinstance(at, Mapping) or name not in at:
            keys = list(map(str, at)) if isinstance(at, Mapping) else []
            raise UnfilledError(f"no {name!r} there{nearest(name, keys)}")
        at = at[name]
        for selector in selectors:
            at = _selected(at, selector)
        place = step.end()
    return at


def _selected(entries: Any, selector: str) -> Any:
    if not isinstance(entries, (list, tuple)):
        raise UnfilledError(f"[{selector}] selects from a list, and there is none")
    if "=" not in selector:
        if not selector.strip().isdigit() or int(selector) >= len(entries):
            raise UnfilledError(f"[{selector}] is no place among {len(entries)}")
        return entries[int(selector)]
    wanted = [
        tuple(piece.strip() for piece in pair.partition("=")[::2]) for pair in re.split(r",\s*(?=\w+=)", selector)
    ]
    matching = [entry for entry in entries if all(_value(entry, key) == value for key, value in wanted)]
    if len(matching) != 1:
        raise UnfilledError(f"[{selector}] holds for {len(matching)} of {len(entries)}, not for one")
    return matching[0]


def _value(entry: Any, key: str) -> str | None:
    if not isinstance(entry, Mapping):
        return None
    group = entry.get("group")
    inside = group if isinstance(group, Mapping) and key in group else entry
    return str(inside[key]) if key in inside else None


def written(value: Any, spec: str) -> str:
    """The value by a word of WORDS, by 'interval SPEC' ({"value", "low", "high"}), or by format's SPEC."""
    if value is None:
        raise UnfilledError("is nothing here (null)")
    word, _, rest = spec.partition(" ")
    try:
        if word == "interval":
            return interval(value, rest)
        text = WORDS[spec](value) if spec in WORDS else format(value, spec)
    except (TypeError, ValueError, KeyError, AttributeError):
        kind = type(value).__name__
        raise UnfilledError(f"{spec!r} does not write a {kind}") from None
    if isinstance(value, (dict, list)) and spec not in WORDS:
        raise UnfilledError(f"is a {type(value).__name__}, not a number; go on to one of its entries")
    return text if isinstance(value, str) or spec == "words" else text.replace("-", "−")


def interval(value: Mapping[str, Any], spec: str) -> str:
    """'0.31 [0.22, 0.40]'; an end that is not known is a dash, one without bound an infinity."""
    middle, low, high = (value[key] for key in ("value", "low", "high"))
    ends = ", ".join("–" if end is None else format(end, spec).replace("inf", "∞") for end in (low, high))
    return f"{format(middle, spec)} [{ends}]".replace("-", "−")
