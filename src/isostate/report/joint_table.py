"""The joint laws as a table: every parameter and the exponent of S* with their intervals, the hold-out, alarms."""

from __future__ import annotations

from typing import Any

from isostate.report import labels, tables
from isostate.report.best_state import told_exponent
from isostate.report.joint_fits import CLAIMED, VARIED, exponent, exponent_verdict


def joint_summary(entries: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A dict of printable cells a joint law, for the command line."""
    told = []
    for entry in entries:
        if entry["law"] in VARIED:
            group = entry["group"]
            told.append(
                {
                    "family": labels.plain(group["family"]),
                    "joint law": entry["law"],
                    "held equal": labels.plain(group["size"] or f"context {group['train_context']:,}"),
                    "exponent of S*": told_exponent(exponent(entry)),
                    "claimed": f"{CLAIMED[entry['law']]:g}, {exponent_verdict(entry)}",
                    "hold-out error": labels.percent(entry["holdout"]["error"]) if entry["holdout"] else "–",
                }
            )
    return told


def joint_laws_table(entries: list[dict[str, Any]]) -> str:
    """One table for each joint law that the study asked for; nothing where it asked for none."""
    parts = []
    for law in VARIED:
        mine = [entry for entry in entries if entry["law"] == law]
        if mine:
            parts.append(_table(law, mine))
    return "".join(parts)


def _table(law: str, entries: list[dict[str, Any]]) -> str:
    names = next((list(entry["params"]) for entry in entries if entry["params"]), [])
    head = [
        "family",
        "held equal",
        *(labels.symbols(name) for name in names),
        "exponent of S*",
        "hold-out error",
        "runs",
    ]
    bodies = []
    for entry in entries:
        group, held = entry["group"], entry["holdout"]
        place = group["size"] or f"context {group['train_context']:,}"
        error = held["error"] if held else None
        cells: list[tables.Cell] = [
            (tables.name(group["family"]), group["family"]),
            (f"{tables.name(place)}<br><small>{tables.name(group['condition'])}</small>", place),
            *(_interval(entry["params"].get(name)) for name in names),
            _interval(exponent(entry)),
            (labels.percent(error), abs(error) if error is not None else None),
            (str(len(entry["points"])), len(entry["points"])),
        ]
        bodies.append(tables.body(cells, tables.said(entry["alarms"], entry["advice"])))
    words = f"{labels.symbols(entries[0]['equation'])}; {entries[0]['objective']}; brackets are 95 % intervals."
    return tables.sortable(law, head, bodies, words)


def _interval(found: dict[str, Any] | None) -> tables.Cell:
    if found is None:
        return "no fit", None
    ends = "no interval" if found["low"] is None else labels.interval(found["low"], found["high"])
    return f"{labels.number(found['value'], 3)}<br><small>{ends}</small>", found["value"]
