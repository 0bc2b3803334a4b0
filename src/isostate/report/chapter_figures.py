"""The figures that an article's chapters choose from, by name: each drawn from one study's table and its laws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from isostate.config import UserError, nearest
from isostate.report import rows as runs
from isostate.report.at_compute import best_within_compute
from isostate.report.best_state import best_state
from isostate.report.context_slider import at_both_ends, by_training_context
from isostate.report.curves import learning_curves
from isostate.report.figures import loss_against_state
from isostate.report.heatmaps import at_a_time_budget, context_against_state
from isostate.report.law_checks import law_checks
from isostate.report.law_panels import law_of_each_family
from isostate.report.positions import loss_by_position
from isostate.report.published import beside_published
from isostate.report.rows import Row
from isostate.report.texts import by_text, recall_answers
from isostate.report.views import Figure

Entries = list[dict[str, Any]]

FIGURES: dict[str, Callable[[list[Row], Entries], Figure]] = {
    "largest": lambda table, entries: of_largest_model(table, entries),
    "families": law_of_each_family,
    "state": loss_against_state,
    "curves": lambda table, _: learning_curves(table),
    "position": lambda table, _: loss_by_position(table),
    "both-ends": at_both_ends,
    "by-context": by_training_context,
    "contexts": lambda table, _: context_against_state(table),
    "budget": lambda table, _: at_a_time_budget(table),
    "best-state": best_state,
    "compute": lambda table, _: best_within_compute(table),
    "fit": law_checks,
    "published": lambda table, _: beside_published(table),
    "texts": lambda table, _: by_text(table),
    "answers": lambda table, _: recall_answers(table),
}


def draw(name: str, table: list[Row], entries: Entries) -> Figure:
    """The figure of that name. Raises UserError for a name that is none."""
    if name not in FIGURES:
        raise UserError(f"no figure {name!r}{nearest(name, FIGURES)}; allowed: {', '.join(FIGURES)}")
    return FIGURES[name](table, entries)


def of_largest_model(table: list[Row], entries: Entries) -> Figure:
    """Loss against state of the runs of the largest model alone."""
    finished = runs.done(table)
    largest = [row for row in finished if runs.size(row) == runs.sizes(finished)[-1]]
    figure = loss_against_state(largest, entries)
    return {**figure, "id": "largest", "title": "State law of the largest model"}
