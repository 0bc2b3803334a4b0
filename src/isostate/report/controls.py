"""The controls that several figures share, and the runs that their options choose."""

from __future__ import annotations

from typing import Any

from isostate.report import labels
from isostate.report import rows as runs
from isostate.report.rows import Row
from isostate.report.views import control


def shared_controls(table: list[Row]) -> list[dict[str, Any]]:
    """Model size as tabs, and the condition where a study has several."""
    every = runs.conditions(table)
    return [
        control("size", "model size", "tabs", [(key, runs.size_label(table, key)) for key in runs.sizes(table)]),
        control(
            "condition",
            "trained on",
            "select",
            [(key, labels.plain(runs.condition_label(key, every))) for key in every],
        ),
    ]


def train_context_control(table: list[Row], kind: str) -> dict[str, Any]:
    """Training context as a select or a slider."""
    contexts = [(context, f"{context:,}") for context in runs.train_contexts(table)]
    return control("train_context", "training context", kind, contexts)


def eval_context_control(table: list[Row]) -> dict[str, Any]:
    """The contexts that runs were evaluated at."""
    contexts = [(context, f"{context:,} tokens") for context in runs.eval_contexts(table)]
    return control("eval_context", "evaluated at context", "select", contexts)


def select(table: list[Row], size: Any, condition: Any, train_context: int) -> list[Row]:
    """The runs of one model size, condition and training context."""
    wanted = (size, train_context, condition)
    return [row for row in table if runs.cell(row)[1:4] == wanted]


def place_controls(table: list[Row]) -> list[dict[str, Any]]:
    """Of the size, condition, training and evaluated context: what `evaluated` takes."""
    return [*shared_controls(table), train_context_control(table, "select"), eval_context_control(table)]


def evaluated(table: list[Row], size: Any, condition: Any, train_context: int, eval_context: int) -> list[Row]:
    """The runs at one place that were evaluated at that context."""
    return runs.evaluated_at(select(table, size, condition, train_context), eval_context)
