"""Numbers as Markdown tables: what an article shows of studies (numbers.py), as it stands in a text file."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from isostate.report import labels

Numbers = dict[str, Any]
NOTHING = "–"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table whose first column is words and whose others are right-aligned numbers; a sentence where it is empty."""
    lines = [[_cell(cell) for cell in row] for row in rows]
    if not lines:
        return "*Nothing here yet.*"
    marks = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(line)} |" for line in ([_cell(cell) for cell in head], marks, *lines))


def folded(summary: str, shown: str) -> str:
    """A long table behind its summary, as GitHub unfolds it."""
    return f"<details>\n<summary>{summary}</summary>\n\n{shown}\n\n</details>"


def worded(text: str) -> str:
    """The table with words in its last column, which are left-aligned."""
    return text.replace("---: |\n", "--- |\n", 1)


def _cell(text: str) -> str:
    return labels.plain(text).replace("|", "\\|")


def nats(value: float | None, digits: int = 3, sign: bool = False) -> str:
    """A loss, or with a sign a difference."""
    if value is None or math.isnan(value):
        return NOTHING
    return format(value, f"{'+' if sign else ''}.{digits}f").replace("-", "−").replace("inf", "∞")


def interval(found: Mapping[str, Any], digits: int = 3, sign: bool = False) -> str:
    """'3.171 [3.165, 3.177]'; the value alone where no noise is known."""
    if found["low"] is None:
        return nats(found["value"], digits, sign)
    value, low, high = (nats(found[key], digits, sign) for key in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def places(entries: Iterable[Numbers], names: Sequence[str] = ("size", "train_context", "condition")) -> list[str]:
    """Which of the names vary over the entries: these need a column."""
    kept = list(entries)
    return [name for name in names if len({str(_of(entry, name)) for entry in kept}) > 1]


def place(entry: Numbers, varying: Sequence[str]) -> list[str]:
    """The cells of those columns."""
    return [f"{value:,}" if isinstance(value := _of(entry, name), int) else str(value) for name in varying]


def heads(varying: Sequence[str]) -> list[str]:
    """The columns' names."""
    words = {"size": "layers × width", "train_context": "trained at", "condition": "trained on"}
    return [words.get(name, name.replace("_", " ")) for name in varying]


def _of(entry: Numbers, name: str) -> Any:
    value = entry["group"][name] if "group" in entry else entry[name]
    return value.replace("x", " × ") if name == "size" and isinstance(value, str) else value


def laws(numbers: Numbers, evaluated: str = "") -> str:
    """The state laws at one evaluated context, the longest by default: parameters with 95 % intervals, what is left,
    and in words what no number can be told of."""
    entries = _laws_at(numbers, evaluated)
    varying = places(entries)
    gains = ["fallen (nats)", "left (nats)"]
    head = ["family", *heads(varying), "L∞ (nats)", "A", "α", "α by bootstrap", *gains, "warnings"]
    rows = []
    for entry in entries:
        told = [*(entry["words"][name] for name in ("L_inf", "A", "alpha")), entry["resampled"] or NOTHING]
        gained = [nats(entry.get(name), 4) for name in ("fallen_nats", "left_nats")]
        rows.append([entry["group"]["family"], *place(entry, varying), *told, *gained, entry["warnings"] or NOTHING])
    return worded(table(head, rows))


def hold_outs(numbers: Numbers, evaluated: str = "") -> str:
    """Each law without its largest state predicts it: the miss in nats and in standard deviations of one run's seed,
    and how wide the interval is that may hold it, since a wide one holds anything."""
    entries = [entry for entry in _laws_at(numbers, evaluated) if entry["holdout"]]
    varying = places(entries)
    head = [
        "family",
        *heads(varying),
        "held-out state",
        "predicted",
        "observed",
        "miss (nats)",
        "in seed noise",
        "interval's width (nats)",
        "its interval holds it",
    ]
    rows = []
    for entry in entries:
        held = entry["holdout"]
        miss = held["predicted"] - held["observed"]
        cells = [
            labels.decimal(held["x"]),
            f"{nats(held['predicted'])} [{nats(held['low'])}, {nats(held['high'])}]",
            nats(held["observed"]),
            nats(miss, 4, sign=True),
            NOTHING if held["miss_in_noise"] is None else f"{held['miss_in_noise']:.1f}",
            nats(held["high"] - held["low"]),
            "yes" if held["covered"] else "no",
        ]
        rows.append([entry["group"]["family"], *place(entry, varying), *cells])
    return table(head, rows)


def _laws_at(numbers: Numbers, evaluated: str) -> list[Numbers]:
    contexts = [law["group"]["eval_context"] for law in numbers["laws"]]
    chosen = int(evaluated) if evaluated else max(contexts, default=0)
    return [law for law in numbers["laws"] if law["group"]["eval_context"] == chosen]


def value(found: Numbers) -> str:
    """A fitted number with its interval."""
    return f"{labels.number(found['value'])} {labels.interval(found['low'], found['high'])}"


def in_noise(times: float | None) -> str:
    """A difference in standard deviations of one run's seed."""
    return NOTHING if times is None else nats(times, 1, sign=True)


def hours(every: Mapping[str, Numbers]) -> str:
    """What each study trained and what it cost; a run that two ask for stands in both, and once in the last row."""
    head = ["study", "runs", "diverged", "missing", "core-hours"]
    rows = [
        [
            name, str(sum(numbers["runs"].values())), str(len(numbers["diverged"])), str(len(numbers["missing"])),
            f"{numbers['core_hours']:.2f}",
        ]
        for name, numbers in every.items()
    ]  # fmt: skip
    once: dict[str, float] = {}
    for numbers in every.values():
        once |= numbers["core_hours_by_run"]
    if len(every) > 1:
        rows.append(["each run once", str(len(once)), "", "", f"{sum(once.values()):.2f}"])
    return table(head, rows)


def parameters(numbers: Numbers) -> str:
    """By size: how equal the families' parameters outside the embedding are, and how many tokens each saw."""
    head = ["layers × width", "least", "most", "spread", "tokens trained", "tokens a parameter"]
    return table(head, [
        [
            size.replace("x", " × "), f"{found['least']:,}", f"{found['most']:,}", labels.percent(found["spread"]),
            f"{found['tokens']:,}", f"{found['tokens_a_parameter']:.2g}",
        ]
        for size, found in numbers["parameters"].items()
    ])  # fmt: skip


def diverged(numbers: Numbers) -> str:
    """What was lost."""
    head = ["family", "state", "seed", "reason"]
    return table(head, [
        [run["family"], labels.decimal(run["state"]), str(run["seed"]), str(run["reason"])]
        for run in numbers["diverged"]
    ])  # fmt: skip
