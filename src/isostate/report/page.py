"""The page: one HTML file that asks nothing of the network and runs only the two scripts it was made with.

The data are one block of JSON; its characters < > & are written as \\u escapes, so no name can close the block. The
content security policy admits the page's own two scripts by their hashes, and no request of any kind.
"""

from __future__ import annotations

import html
from string import Template
from typing import Any

from isostate.report import labels, tables
from isostate.report import rows as runs
from isostate.report.answer import answer
from isostate.report.best_state import best_state
from isostate.report.context_slider import by_training_context
from isostate.report.curves import learning_curves
from isostate.report.figures import loss_against_state
from isostate.report.heatmaps import at_a_time_budget, context_against_state
from isostate.report.inline import asset, data_block, policy, pooled
from isostate.report.joint_table import joint_laws_table
from isostate.report.law_checks import law_checks
from isostate.report.positions import loss_by_position
from isostate.report.rows import Row


def render(study: dict[str, Any], table: list[Row], fits: list[dict[str, Any]]) -> str:
    """The whole page. `study`: its file as run; `table`: records.table; `fits`: entries of laws.json."""
    figures = [
        loss_against_state(table, fits),
        learning_curves(table),
        loss_by_position(table),
        by_training_context(table, fits),
        context_against_state(table),
        at_a_time_budget(table),
        best_state(table, fits),
        law_checks(table, fits),
    ]
    scripts = {"plotly": asset("plotly-cartesian.min.js"), "script": asset("page.js")}
    return Template(asset("page.html")).substitute(
        policy=policy(list(scripts.values())),
        style=asset("page.css"),
        **scripts,
        name=tables.name(study["name"]),
        title=html.escape(labels.plain(study["name"])),
        question=tables.name(study["question"] or study["name"]),
        answer=html.escape(answer(table, fits)),
        facts=html.escape(facts(table)),
        figures="".join(section(number, figure) for number, figure in enumerate(figures, start=1)),
        laws=tables.laws_table(table, fits) + joint_laws_table(fits),
        runs=tables.runs_table(table),
        where=tables.where_table(table),
        digest=tables.records_digest(table),
        data=data_block(pooled(figures)),
    )


def facts(table: list[Row]) -> str:
    """How many runs in which state, families, and how long they trained."""
    counts = {status: sum(row["status"] == status for row in table) for status in sorted({r["status"] for r in table})}
    parts = [f"{count} {status}" for status, count in counts.items() if status != "done"]
    told = [row for row in table if "family" in row]
    words = [labels.plural(len(table), "run") + (f" ({', '.join(parts)})" if parts else "")]
    if told:
        count = len(runs.families(told))
        words.append("1 family" if count == 1 else f"{count} families")
        words.append(labels.plural(len(runs.sizes(told)), "model size"))
        every = runs.conditions(told)
        words.append(
            labels.plain(runs.condition_label(every[0], every)) if len(every) == 1 else f"{len(every)} conditions"
        )
    words.append(f"{labels.duration(sum(row['train_s'] or 0.0 for row in table))} of training in all")
    return " · ".join(words)


def section(number: int | str, figure: dict[str, Any], heading: str = "h2", under: str = "") -> str:
    """A figure's place in the page; page.js draws into it. `under`: HTML between its heading and its caption."""
    body = (
        f'<p class="empty">{html.escape(figure["empty"])}</p>'
        if figure["empty"]
        else '<div class="controls"></div><div class="canvas"></div><p class="note"></p>'
    )
    title = f'<{heading}><span class="number">{number}</span> {html.escape(figure["title"])}</{heading}>'
    caption = f'<p class="caption">{html.escape(figure["caption"])}</p>'
    return f'<section class="figure" id="figure-{figure["id"]}">{title}{under}{caption}{body}</section>'
