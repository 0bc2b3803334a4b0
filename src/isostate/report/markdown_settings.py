"""Single settings, what state gains and how far seeds stray, as Markdown tables (setting_numbers.py, note/pairs.py)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from isostate.report import labels
from isostate.report.markdown import (
    NOTHING,
    Numbers,
    folded,
    heads,
    in_noise,
    interval,
    nats,
    place,
    places,
    table,
)
from isostate.report.note.state import claimed


def settings(numbers: Numbers) -> str:
    """A row a setting, folded: how its state was made, who paid for it, its mean loss and its seeds' deviation."""
    found = numbers["settings"]
    varying = places(found)
    head = [
        "family", *heads(varying), "knob", "state", "of it convolution", "feed-forward width", "learning rate",
        "mean loss (nats)", "sd", "seeds",
    ]  # fmt: skip
    rows = [
        [
            setting["family"], *place(setting, varying), _knob(setting["knob"]), f"{setting['state']:,}",
            f"{setting['convolution']:,} ({labels.percent(setting['convolution'] / setting['state'])})",
            NOTHING if setting["d_ff"] is None else f"{setting['d_ff']:,}", f"{setting['lr']:g}",
            nats(setting["mean"]), nats(setting["sd"], 4), str(setting["seeds"]),
        ]
        for setting in found
    ]  # fmt: skip
    return folded(f"All {labels.plural(len(rows), 'setting')}", table(head, rows))


def _knob(knob: Numbers | None) -> str:
    return NOTHING if knob is None else f"{knob['name']} {knob['value']:,}"


def by_state(numbers: Numbers) -> str:
    """Each family from its smallest state to its largest: mean losses in a row, and the feed-forward widths."""
    found = numbers["settings"]
    varying = places(found)
    groups: dict[tuple[str, ...], list[Numbers]] = {}
    for setting in found:
        groups.setdefault((setting["family"], *place(setting, varying)), []).append(setting)
    head = ["family", *heads(varying), "states", "mean losses (nats)", "feed-forward widths", "convolution's share"]
    rows = []
    for key, members in groups.items():
        shares = [labels.percent(setting["convolution"] / setting["state"]) for setting in (members[0], members[-1])]
        cells = [
            ", ".join(labels.decimal(setting["state"]) for setting in members),
            ", ".join(nats(setting["mean"]) for setting in members),
            ", ".join(NOTHING if setting["d_ff"] is None else str(setting["d_ff"]) for setting in members),
            " to ".join(shares),
        ]
        rows.append([*key, *cells])
    return table(head, rows)


def noise(numbers: Numbers, key: str = "family") -> str:
    """How far one run strays from the mean of its setting, by family or by learning rate; all together last."""
    found = numbers["noise_by_family" if key == "family" else "noise_by_rate"]
    name = "family" if key == "family" else "lr"
    head = ["learning rate" if name == "lr" else name, "settings of several seeds", "degrees of freedom", "sd (nats)"]
    rows = [
        [
            f"{entry[name]:g}" if name == "lr" else entry[name], f"{entry['settings']} of {entry['of']}",
            str(entry["dof"]), nats(entry["sd"], 4),
        ]
        for entry in found
    ]  # fmt: skip
    pooled, repeated = numbers["seed_noise"], sum(entry["settings"] for entry in found)
    total = ["all, pooled", f"{repeated} of {sum(entry['of'] for entry in found)}"]
    return table(head, [*rows, [*total, str(pooled["dof"]), nats(pooled["sd"], 4)]])


def by_rate(numbers: Numbers) -> str:
    """The loss of each setting that was trained at several learning rates; bold at the rate that is drawn."""
    found = numbers["by_rate"]
    varying = places(found)
    rates = sorted({tried["lr"] for entry in found for tried in entry["rates"]})
    head = ["family", *heads(varying), "state", *(f"at {lr:g}" for lr in rates)]
    rows = []
    for entry in found:
        at = {tried["lr"]: tried for tried in entry["rates"]}
        cells = [_tried(at[lr]) if lr in at else "" for lr in rates]
        rows.append([entry["family"], *place(entry, varying), labels.decimal(entry["state"]), *cells])
    return table(head, rows)


def _tried(tried: Numbers) -> str:
    shown = nats(tried["mean"])
    return f"**{shown}**" if tried["drawn"] else shown


def effects(numbers: Numbers) -> str:
    """What each family's loss gains from its smallest state to its largest, and what it loses again from its best."""
    entries = numbers["effects"]
    varying = places(entries)
    head = [
        "family",
        *heads(varying),
        "states",
        "best state",
        "gained, smallest to largest (nats)",
        "in seed noise",
        "lost, best to largest (nats)",
        "in seed noise",
    ]
    rows = []
    for entry in entries:
        cells = [interval(entry["fall"], sign=True), in_noise(entry["fall_in_noise"])]
        lost = [interval(entry["rise"], sign=True), in_noise(entry["rise_in_noise"])]
        at_largest = str(entry["best_state"]) == list(entry["means"])[-1]
        where = [str(len(entry["means"])), labels.decimal(entry["best_state"])]
        rows.append([entry["family"], *place(entry, varying), *where, *cells, *(["0", "0"] if at_largest else lost)])
    return table(head, rows)


def equal_state(numbers: Numbers) -> str:
    """Every two families over the states that both have: the pairs that claims are about, then, folded, the others."""
    entries = numbers["equal_state"]
    asked = [turned for entry in entries if (turned := _as_claimed(entry)) is not None]
    asked.sort(key=lambda entry: entry["first"])
    others = [entry for entry in entries if _as_claimed(entry) is None]
    varying = places(entries)
    rest = folded(f"The other {labels.plural(len(others), 'pair')}", _pairs(others, varying)) if others else ""
    return "\n\n".join(shown for shown in (_pairs(asked, varying) if asked or not others else "", rest) if shown)


def _as_claimed(entry: Numbers) -> Numbers | None:
    """The pair with the family first of which a claim says that it is better; None where no claim is about the two."""
    first, second = entry["first"], entry["second"]
    if claimed(first, second):
        return entry
    if not claimed(second, first):
        return None
    found = entry["difference"]
    low, high = (None if found[end] is None else -found[end] for end in ("high", "low"))
    return {
        **entry,
        "first": second,
        "second": first,
        "difference": {"value": -found["value"], "low": low, "high": high},
        "in_noise": None if entry["in_noise"] is None else -entry["in_noise"],
        "ahead": entry["of"] - entry["ahead"],
    }


def _pairs(entries: Sequence[Numbers], varying: Sequence[str]) -> str:
    head = [
        "families", *heads(varying), "states of both", "difference (nats)", "in seed noise",
        "states where the first is better", "better",
    ]  # fmt: skip
    rows = [
        [
            f"{entry['first']} less {entry['second']}", *place(entry, varying),
            f"{labels.decimal(entry['low'])} to {labels.decimal(entry['high'])}",
            interval(entry["difference"], sign=True), in_noise(entry["in_noise"]),
            f"{entry['ahead']} of {entry['of']}", entry["better"] or "not told apart",
        ]
        for entry in entries
    ]  # fmt: skip
    return table(head, rows)


def rates(numbers: Numbers) -> str:
    """The learning rates that were tuned and at which states, and all that the drawn runs of a family have."""
    tuned = numbers.get("tuned") or {}
    head = ["family", "tuned (at these values of the knob)", "of the runs shown"]
    rows = [
        [family, _tuned(tuned.get(family, {})), ", ".join(f"{rate:g}" for rate in found)]
        for family, found in numbers["rates"].items()
    ]
    return table(head, rows)


def _tuned(by_knob: Mapping[str, float]) -> str:
    """'0.004 (4, 16); 0.016 (64)' of a plan's rates by the knob's value; without a knob the rate alone."""
    knobs: dict[float, list[int]] = {}
    for knob, rate in by_knob.items():
        knobs.setdefault(rate, []).append(int(knob))
    at = {rate: ", ".join(f"{knob:,}" for knob in sorted(found) if knob) for rate, found in sorted(knobs.items())}
    return "; ".join(f"{rate:g} ({found})" if found else f"{rate:g}" for rate, found in at.items()) or NOTHING
