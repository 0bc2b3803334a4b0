"""What the note claims of state and training context: the state's law grows with it, and the state worth having."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from isostate.report.claims import POSITIVE
from isostate.report.joint_fits import CLAIMED, exponent
from isostate.report.note.claim import NOTE, Asked, Claim, Part, judge, minus
from isostate.report.note.studies import CONTEXT, Studies, Study, by_context, on_noise, places
from isostate.report.seeds import Array, Estimate, Means, from_interval, of_column

GROWS = Asked(
    "grows", "longer training documents “smoothly grow the magnitude of the state scaling law”", NOTE, CONTEXT
)
MULTILINEAR = "power-2-gated"
THUMB = Asked("thumb", "“double the state size every time the context is quadrupled”: S* ~ T^(1/2)", NOTE, CONTEXT)


def of_the_context(studies: Studies) -> list[Claim]:
    """Both, in the note's order."""
    return [grows(studies), thumb(studies[CONTEXT])]


def grows(studies: Studies) -> Claim:
    """By how much the fall from the smallest to the largest state grows with a doubling of the training context.

    The note shows it of multilinear, so the gated power family is judged. Others are told beside: a window of few
    tokens over few layers cannot reach far, however long the context is.
    """
    study, means = studies[CONTEXT], studies.means(CONTEXT)
    parts: list[Part] = []
    beside: list[Part] = []
    words: list[str] = []
    for family, size, condition in _groups(means):
        found = falls(means, family, size, condition)
        if len(found) > 1:
            part = Part(family, slope([math.log2(context) for context in found], list(found.values())), POSITIVE)
            (parts if family == MULTILINEAR else beside).append(part)
            told = ", ".join(f"{minus(column[0])} at {context:,}" for context, column in found.items())
            words.append(f"{family} falls by {told}")
    words += [f"beside: {', '.join(part.told() for part in beside)}"] if beside else []
    unit = f"fall from the smallest to the largest state, nats more a doubling of the context, at {study.longest:,}"
    return judge(GROWS, parts, unit, more=[*words, on_noise(means.noise)], trained=bool(study.finished))


def falls(means: Means, family: str, size: Any, condition: Any) -> dict[int, Array]:
    """The fall from the smallest to the largest state that all contexts have, with its draws, by training context."""
    return {
        context: means.column(states[min(states)]) - means.column(states[max(states)])
        for context, states in by_context(means, family, size, condition).items()
        if len(states) > 1
    }


def slope(x: list[float], columns: list[Array]) -> Estimate:
    """Of the straight line through the columns at x, by least squares."""
    centre = sum(x) / len(x)
    squares = sum((value - centre) ** 2 for value in x)
    weights = [(value - centre) / squares for value in x]
    return of_column(np.tensordot(weights, np.stack(columns), axes=1))


def thumb(study: Study) -> Claim:
    """The exponent of S*(T), as each family's joint law of state and context has it."""
    parts, words = exponents(study, "state-context")
    return judge(THUMB, parts, "exponent of S*(T)", more=words, trained=bool(study.finished))


def exponents(study: Study, law: str) -> tuple[list[Part], list[str]]:
    """The exponent of S* by each family's joint law, held against what the note claims; the alarms on those laws."""
    parts, words = [], []
    for entry in study.laws:
        found = exponent(entry) if entry["law"] == law and entry["params"] else None
        if found is not None:
            family, estimate = entry["group"]["family"], from_interval(found)
            parts.append(Part(family, estimate, (CLAIMED[law], CLAIMED[law]), within=0.25, spec=".3g"))
            if entry["alarms"]:
                words.append(f"the law of {family} warns: {entry['alarms'][0]}")
    return parts, words


def _groups(means: Means) -> list[tuple[str, tuple, tuple]]:
    found = {(family, size, condition) for family, size, _, condition in places(means)}
    return sorted(found, key=str)
