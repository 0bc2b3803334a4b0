"""A fit in words and tables, from `Fit.to_dict()` alone: what has no words of its own here is shown as it is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from isostate.cli import show

Answer = Mapping[str, Any]

# What follows from a law's parameters; (law, name) where a name means one thing in one law and another in the next.
MEANINGS: dict[str | tuple[str, str], str] = {
    "a": "the best N grows as C^a, with C = 6 N D",
    "b": "the best D grows as C^b, with C = 6 N D",
    "G": "the best N is G (C/6)^a parameters, the best D (C/6)^b / G tokens",
    (
        "state-params",
        "state_exponent",
    ): "the state whose doubling gains as much as one of N grows with N to this power",
    ("state-params", "state_factor"): "and is this many elements at N = 1",
    ("state-context", "state_exponent"): "the state S at which forgetting costs as much as the finite context does "
    "grows with T to this power",
    ("state-all", "state_exponent_in_context"): "the same state grows with the context T to this power",
    ("state-all", "state_exponent_in_params"): "the state whose doubling gains as much as one of N grows with N so",
    ("state-context", "state_factor"): "and is this many elements at T = 1",
    ("kaplan-steps", "a"): "the best N grows as C^a at one batch size, with C in proportion to N times steps",
    "N_exponent": "the best N grows with C to this power, with C = 6 N D, at every granularity",
    "N_cutoff": "the dense size at which experts no longer help",
    "M_best": "the tokens a parameter of compute-optimal training, at every C",
    "bits_99": "bits at which 99 % of the parameters still count",
    "most_tokens": "what endless epochs are worth, in fresh tokens a unique token",
    "half_value_epochs": "epochs after which one more is worth half of fresh tokens",
    ("critical-batch", "B_crit"): "the batch beyond which examples are wasted, E_min / S_min",
}
IN_WORDS = {
    *("law", "equation", "source", "objective", "objective_value", "intervals", "level", "points", "params", "derived"),
    *("bootstrap", "curve", "holdout", "converged", "starts", "starts_at_optimum", "alarms", "advice", "tail", "draws"),
}
FEW = 6  # values of a list that are shown; longer ones are for --json


def print_fit(screen: Console, answer: Answer, about: Iterable[tuple[str, str]] = ()) -> None:
    """All but the alarms: the law with its numbers, `about` (label, text), parameters, what follows, how."""
    values = {name: row["value"] for name, row in answer["params"].items()}
    lines = [("law", f"{answer['law']}: {answer['equation']}"), ("from", answer["source"])]
    fitted = fitted_equation(answer["equation"], values) if values else answer["equation"]
    if fitted != answer["equation"]:
        lines.append(("fitted", fitted))
    screen.print(facts([*lines, *about]))
    if values:
        screen.print()
        print_table(screen, parameters(answer))
    if answer["derived"]:
        follows = [(name, interval(row), meaning(answer["law"], name)) for name, row in answer["derived"].items()]
        screen.print()
        screen.print(facts(follows))
    screen.print()
    screen.print(facts([*how(answer), *rest(answer)]))
    for title, drawn in tables_of_rest(answer):
        screen.print()
        screen.print(f"{title.replace('_', ' ')}:")
        print_table(screen, drawn)


def print_table(screen: Console, drawn: Table) -> None:
    """As wide as it is, so that a narrow terminal wraps its lines and no digit is cut."""
    Console(file=screen.file, width=max(screen.width, show.WIDTH), markup=False, highlight=False).print(drawn)


def print_alarms(screen: Console, alarms: Iterable[str], advice: Iterable[str] = ()) -> None:
    """What is wrong and what to do about it, each wrapped beside its label."""
    lines = [("alarm", text) for text in alarms] + [("advice", text) for text in advice]
    screen.print(facts(lines) if lines else "no alarms")


def facts(lines: Iterable[Sequence[str]]) -> Table:
    """Rows of label(s) and a last text that wraps beside them."""
    rows = list(lines)
    drawn = Table.grid(padding=(0, 2, 0, 0))
    for i in range(len(rows[0]) if rows else 0):
        drawn.add_column(no_wrap=i < len(rows[0]) - 1, overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    return drawn


def number(value: float | None, digits: int = 5) -> str:
    """'477.83', '6.4e13'; '' where there is none."""
    if value is None:
        return ""
    mantissa, e, exponent = f"{value:.{digits}g}".partition("e")
    return f"{mantissa}e{int(exponent)}" if e else mantissa


def interval(ends: Mapping[str, float | None], digits: int = 5) -> str:
    """'0.5139 (0.49 to 0.53)'; an end that was not to be had is open."""
    value = number(ends["value"], digits)
    if ends.get("low") is None and ends.get("high") is None:
        return value
    low, high = (number(ends[end], digits) or "open" for end in ("low", "high"))
    return f"{value} ({low} to {high})"


def fitted_equation(equation: str, values: Mapping[str, float]) -> str:
    """The equation with numbers in place of its parameters, on the right of the equals sign."""
    left, equals, right = equation.partition(" = ")
    names = "|".join(re.escape(name) for name in sorted(values, key=len, reverse=True))

    def told(found: re.Match[str]) -> str:
        text = number(values[found.group()])
        return f"({text})" if text.startswith("-") else text

    return left + equals + re.sub(rf"(?<![A-Za-z0-9_])(?:{names})(?![A-Za-z0-9_'])", told, right)


def parameters(answer: Answer) -> Table:
    """A row a parameter: value, ends, standard error; the bootstrap's ends beside them where it is a check."""
    rows, check = answer["params"], answer["bootstrap"]
    with_se = any(row.get("se") is not None for row in rows.values())
    columns = ["parameter", "value", f"{100 * answer['level']:g} % from", "to"]
    columns += ["standard error"] * with_se + ["bootstrap from", "to"] * bool(check)
    cells = []
    for name, row in rows.items():
        cell = [name, *(number(row.get(key)) for key in ("value", "low", "high"))]
        cell += [number(row.get("se"), 3)] * with_se
        cell += [number(check.get(name, {}).get(key)) for key in ("low", "high") if check]
        cells.append(cell)
    return show.table(columns, cells)


def meaning(law: str, name: str) -> str:
    """What a derived value says, '' where no words are known."""
    return MEANINGS.get((law, name)) or MEANINGS.get(name, "")


def how(answer: Answer) -> list[tuple[str, str]]:
    """Objective, intervals, starts, hold-out: (label, text)."""
    value = answer["objective_value"]
    lines = [("objective", answer["objective"] + (f": {number(value, 9)}" if value is not None else ""))]
    drawn = f", {len(answer['draws']):,} refits" if answer.get("draws") else ""
    lines.append(("intervals", f"{100 * answer['level']:g} %, {answer['intervals']}{drawn}"))
    if answer["starts"]:
        share = answer["starts_at_optimum"] / answer["starts"]
        counted = f"{answer['starts_at_optimum']:,} of {answer['starts']:,} reached this optimum ({100 * share:.0f} %)"
        lines.append(("starts", counted if answer["converged"] else f"{counted}; not converged"))
    if answer["params"]:
        lines.append(("hold-out", hold_out(answer)))
    return lines


def hold_out(answer: Answer) -> str:
    """What the law said of points it had not seen."""
    held = answer["holdout"]
    if held is None:
        return "none: the law has not been tested on points it had not seen"
    if any(held[key] is None for key in ("predicted", "low", "high", "error")):
        return f"{show.plural(held['n'], 'point')}, of which a fit without them predicts nothing finite"
    covered = held["low"] <= held["observed"] <= held["high"]
    ends = f" ({number(held['low'], 4)} to {number(held['high'], 4)})"
    off = f"off by {100 * held['error']:+.2f} %, {'inside' if covered else 'outside'} its interval"
    last = f"predicted {number(held['predicted'], 4)}{ends}, was {number(held['observed'], 4)}: {off}"
    if held["n"] == 1:
        return f"the largest size, predicted without it: {last}"
    mean = f"mean error {100 * held['mean_abs_error']:.2f} % (signed {100 * held['mean_error']:+.2f} %)"
    return f"{held['n']} points, predicted by a fit without them: {mean}; the largest was {last}"


def rest(answer: Answer) -> list[tuple[str, str]]:
    """What has no words of its own here and is short: one line a key."""
    found = [(key, "" if key in IN_WORDS or is_table(value) else short(value)) for key, value in answer.items()]
    return [(key.replace("_", " "), text) for key, text in found if text]


def tables_of_rest(answer: Answer) -> list[tuple[str, Table]]:
    """The same for what is a row of values a name, or a list of rows."""
    return [
        (key, rows_table(value)) for key, value in answer.items() if key not in IN_WORDS and is_table(value)
    ]  # fmt: skip


def rows_table(value: Mapping[str, Answer] | Sequence[Answer]) -> Table:
    """Rows with names, or without, as a table of whatever in them is short."""
    rows = [{"": name, **row} for name, row in value.items()] if isinstance(value, Mapping) else list(value)
    heads = list(dict.fromkeys(head for row in rows for head, cell in row.items() if short(cell)))
    cells = [[short(row.get(head)) for head in heads] for row in rows]
    return show.table([head.replace("_", " ") for head in heads], cells)


def is_table(value: Any) -> bool:
    """Whether a value is rows of values: by name, or in a list."""
    rows = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else []
    return bool(rows) and all(isinstance(row, Mapping) and "value" not in row for row in rows)


def short(value: Any) -> str:
    """A value in a few words; '' for nothing, and for what is too long to be read."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return number(value)
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        if {"value", "low", "high"} <= value.keys():
            return interval(value)
        return ", ".join(f"{key} {short(item)}" for key, item in value.items() if short(item))
    if isinstance(value, Sequence) and len(value) <= FEW:
        return ", ".join(text for text in map(short, value) if text)
    return ""
