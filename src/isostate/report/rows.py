"""The table's rows (records.table), read: which coordinates they span, which runs a figure draws, means over seeds.

A coordinate is what tells one cell of a study from another: family, model size, training context, state, seed, and the
condition (corpus, tokenizer, updates, tokens an update), which is almost always one and the same in a study.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from isostate.report import labels

Row = dict[str, Any]
NOTHING = {"loss_nats": None}
CONDITION = ("corpus", "tokenizer", "steps", "batch_tokens")


def done(rows: Iterable[Row]) -> list[Row]:
    """Runs that finished with a result. A diverged run has a result too, but no loss that means anything."""
    return [row for row in rows if row["status"] == "done"]


def drawn(rows: Iterable[Row]) -> list[Row]:
    """The finished runs that figures and laws use: where a cell was trained at several learning rates, one of them.

    It is the one of most seeds, since a rate that was tried with one seed may have been lucky with it; of several of
    them the best, by the lowest mean loss over seeds at the longest evaluated context.
    """
    by_cell: dict[tuple, dict[float, list[Row]]] = {}
    for row in done(rows):
        by_cell.setdefault(cell(row), {}).setdefault(row["lr"], []).append(row)
    kept = [min(rates.values(), key=lambda seeds: (-len(seeds), _mean_loss(seeds))) for rates in by_cell.values()]
    return [row for group in kept for row in group]


def _mean_loss(rows: list[Row]) -> float:
    context = max(eval_contexts(rows))
    finite = evaluated_at(rows, context)
    return fmean(final_loss(row, context) for row in finite) if len(finite) == len(rows) else math.inf


def cell(row: Row) -> tuple:
    """Everything but seed and learning rate."""
    return (row["family"], size(row), row["train_context"], condition(row), state(row))


def families(rows: Iterable[Row]) -> list[str]:
    return sorted({row["family"] for row in rows})


def state(row: Row) -> int:
    """Elements a sequence carries, at the training context."""
    return row["state"]["elements"]


def size(row: Row) -> tuple[int, int]:
    return (row["n_layers"], row["d_model"])


def size_name(key: tuple[int, int]) -> str:
    return f"{key[0]}x{key[1]}"


def size_label(rows: Iterable[Row], key: tuple[int, int]) -> str:
    """'222K parameters without embedding (2 layers, width 96)'."""
    return f"{size_count(rows, key)} parameters without embedding ({labels.plural(key[0], 'layer')}, width {key[1]})"


def size_count(rows: Iterable[Row], key: tuple[int, int]) -> str:
    """'222K', the parameters outside the embedding: a range where the families' counts differ by more than 1 %."""
    counts = sorted(row["n_params"]["non_embedding"] for row in rows if size(row) == key)
    low, high = counts[0], counts[-1]
    middle = counts[len(counts) // 2]
    return labels.decimal(middle) if high <= 1.01 * low else f"{labels.decimal(low)}–{labels.decimal(high)}"


def sizes(rows: Iterable[Row]) -> list[tuple[int, int]]:
    """Model sizes, by parameters."""
    smallest: dict[tuple[int, int], int] = {}
    for row in rows:
        count = row["n_params"]["total"]
        smallest[size(row)] = min(count, smallest.get(size(row), count))
    return sorted(smallest, key=lambda key: (smallest[key], key))


def condition(row: Row) -> tuple:
    return tuple(row[name] for name in CONDITION)


def conditions(rows: Iterable[Row]) -> list[tuple]:
    return sorted({condition(row) for row in rows})


def condition_label(key: tuple, every: list[tuple]) -> str:
    """The parts of a condition that vary in this study; all of them where it is the only one."""
    vary = [i for i in range(len(CONDITION)) if len({other[i] for other in every}) > 1] or list(range(len(CONDITION)))
    corpus, tokenizer, steps, batch_tokens = key
    words = (f"{corpus}", f"{tokenizer}", f"{steps:,} updates", f"{batch_tokens:,} tokens an update")
    return ", ".join(words[i] for i in vary)


def train_contexts(rows: Iterable[Row]) -> list[int]:
    return sorted({row["train_context"] for row in rows})


def eval_contexts(rows: Iterable[Row]) -> list[int]:
    return sorted({int(context) for row in rows for context in row["final"]})


def final_loss(row: Row, context: int) -> float:
    """Held-out loss at the end, nats per token; KeyError where the run was not evaluated at this context."""
    return row["final"][str(context)]["loss_nats"]


def part_loss(row: Row, context: int, part: str) -> float | None:
    """The loss of one part of the targets ("answers", "text") or "all"; None where that is not told or not finite."""
    final = row["final"].get(str(context), NOTHING)
    return final["loss_nats"] if part == "all" else final.get("parts", {}).get(part, NOTHING)["loss_nats"]


def evaluated_at(rows: Iterable[Row], context: int) -> list[Row]:
    """Runs with a loss at this context; one that was not finite is null in the records."""
    return [row for row in rows if row["final"].get(str(context), NOTHING)["loss_nats"] is not None]


def losses(rows: Iterable[Row], context: int | None = None) -> dict[tuple, list[float]]:
    """Of every setting (cell) its runs' final losses at an evaluated context, the longest of all by default."""
    rows = list(rows)
    context = max(eval_contexts(rows), default=0) if context is None else context
    found: dict[tuple, list[float]] = {}
    for row in evaluated_at(rows, context):
        found.setdefault(cell(row), []).append(final_loss(row, context))
    return found


def by_state(rows: Iterable[Row]) -> dict[int, list[Row]]:
    """Runs (seeds) by state, in ascending order of state."""
    groups: dict[int, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (state(row), row["seed"], row["run_id"])):
        groups.setdefault(state(row), []).append(row)
    return groups
