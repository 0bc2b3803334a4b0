"""Every two families of a study at equal state, gated or not: a table beside the claims, which ask for less."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from isostate.report import claims, equal_state, seeds
from isostate.report import rows as runs
from isostate.report.claims import NEGATIVE
from isostate.report.note.studies import by_state, places
from isostate.report.rows import Row


def pairs(finished: list[Row]) -> list[dict[str, Any]]:
    """The first family's loss less the second's over the states of both, at the longest evaluated context.

    {"first", "second", "size", "train_context", "condition", "low", "high" (elements), "difference" (nats, with its
    interval), "in_noise", "ahead", "of", "better": who is, where the interval tells}.
    """
    longest = max(runs.eval_contexts(finished), default=0)
    rows = runs.evaluated_at(finished, longest)
    means = seeds.means(rows, runs.cell, lambda row: runs.final_loss(row, longest))
    every = runs.conditions(finished)
    told = []
    for first, second in combinations(places(means), 2):
        if first[1:] != second[1:] or "softmax" in (first[0], second[0]):
            continue
        found = equal_state.matched(by_state(means, first), by_state(means, second), means)
        if found is None:
            continue
        family, size, context, condition = first
        sign = claims.verdict(*found.difference.interval(), NEGATIVE)
        told.append(
            {
                **{"first": family, "second": second[0], "size": runs.size_name(size), "train_context": context},
                **{"condition": runs.condition_label(condition, every), "difference": found.difference.to_dict()},
                **{"low": found.states[0], "high": found.states[-1], "ahead": found.ahead, "of": len(found.states)},
                "in_noise": found.difference.value / means.noise.sd if means.noise.sd else None,
                "better": {"confirmed": family, "refuted": second[0]}.get(sign),
            }
        )
    return told
