"""What was published since the note, held against these records in direction and slope: data and scale differ.

Losses at a context of 4,096 of models of 124M parameters by elements of state (questions.PUBLISHED; issue 6 of this
project names them), gates that cure the power family at long contexts (3.535 without, 3.121 with, softmax 3.113 at
8,192), and a training context that is best in the middle at equal compute.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from itertools import pairwise

import numpy as np

from isostate.report import labels, questions, seeds
from isostate.report import rows as runs
from isostate.report.claims import POSITIVE
from isostate.report.note.claim import SINCE, Asked, Claim, Part, judge
from isostate.report.note.studies import (
    CONTEXT,
    STATE_LAWS,
    Studies,
    Study,
    at_compute,
    by_context,
    by_state,
    on_noise,
    places,
)
from isostate.report.rows import Row
from isostate.report.seeds import Array, Means

RANKED = ("linear", "power-2", "softmax", "power-4")
HIGHER = Asked("published-order", "loss falls from linear over power-2 and softmax to power-4, at their largest states",
               SINCE, STATE_LAWS)  # fmt: skip
LESS = Asked("published-slope", "a doubling of state gains less from power-2 to power-4 than from linear to power-2",
             SINCE, STATE_LAWS)  # fmt: skip
BEHIND = Asked("published-behind", "power-2 without a gate falls behind softmax at long contexts", SINCE, CONTEXT)
CURED = Asked("published-gate", "a gate cures it: with one, power-2 loses half of that or less",
              SINCE, CONTEXT)  # fmt: skip
CURE = 0.5  # of the gap to softmax, at the least
U_SHAPE = Asked("published-u", "at equal compute the best training context lies inside: the loss is U-shaped",
                SINCE, CONTEXT)  # fmt: skip
Place = tuple[str, int, Hashable]  # family, largest state, its setting


def of_the_published(studies: Studies) -> list[Claim]:
    """All five."""
    return [higher(studies), less(studies), behind(studies), cured(studies), u_shape(studies)]


def higher(studies: Studies) -> Claim:
    """Each family's largest state less the next one's, in the published order, at the training context."""
    means, found, trained = ranked(studies)
    parts = [
        Part(f"{first[0]} less {second[0]}", means.difference(first[2], second[2]), POSITIVE)
        for first, second in pairwise(found.values())
    ]
    return judge(HIGHER, parts, "nats", more=[_states(found), on_noise(means.noise)], trained=trained)


def less(studies: Studies) -> Claim:
    """The slope from linear to power-2 less that from power-2 to power-4, in nats a doubling, where both gain.

    That a larger state is worse is no smaller gain: it says nothing for the claim, nor against it.
    """
    means, found, trained = ranked(studies)
    parts, words = [], []
    if {"linear", "power-2", "power-4"} <= found.keys():
        first, second = (slope_between(means, found[a], found["power-2"]) for a in ("linear", "power-4"))
        slopes = {"linear to power-2": first, "power-2 to power-4": second}
        parts = [
            Part("the first less the second", seeds.of_column(first - second), POSITIVE, spec="+.4f"),
            *(Part(name, seeds.of_column(at), POSITIVE, spec="+.4f", refuter=False) for name, at in slopes.items()),
        ]
        theirs = {family: {state: loss} for family, state, loss in questions.PUBLISHED}
        told = [questions.a_doubling(theirs[a] | theirs[b]) for a, b in (("linear", "power-2"), ("power-2", "power-4"))]
        words = [
            f"{told[0]:.4f} then {told[1]:.4f} published",
            "power-4 is worse than power-2 here, at more state" if second[0] < 0 else "",
        ]
    return judge(LESS, parts, "nats a doubling", more=[*words, on_noise(means.noise)], trained=trained)


def slope_between(means: Means, first: Place, second: Place) -> Array:
    """Nats lost a doubling of state from the one of less state to the other, with draws."""
    low, high = sorted((first, second), key=lambda place: place[1])
    return (means.column(low[2]) - means.column(high[2])) / math.log2(high[1] / low[1])


def ranked(studies: Studies) -> tuple[Means, dict[str, Place], bool]:
    """Each ranked family at its largest state, gated where all have gates, at the size that has most families.

    At the training context a window that holds all of it is softmax.
    """
    study = studies[STATE_LAWS]
    trained = max(runs.train_contexts(study.finished), default=0)
    means = studies.means(STATE_LAWS, trained)
    full = {runs.cell(row) for row in study.at(trained) if _sees_all(row)}
    best: dict[str, Place] = {}
    for size in runs.sizes(study.finished):
        found: dict[str, Place] = {}
        for family in RANKED:
            cells = {
                setting: setting[-1]
                for setting in means.values
                if isinstance(setting, tuple)
                and setting[1] == size
                and (setting in full if family == "softmax" else setting[0] in (f"{family}-gated", family))
            }
            gated = {setting: state for setting, state in cells.items() if setting[0].endswith("-gated")}
            if cells:
                setting = max(gated or cells, key=lambda setting: setting[-1])
                found[family] = (setting[0], setting[-1], setting)
        best = found if len(found) > len(best) else best
    return means, best, bool(study.finished)


def behind(studies: Studies) -> Claim:
    """Power-2 without a gate, at its largest state, less softmax, at the longest training context."""
    study, context, means = _longest(studies)
    found = _families(means, context)
    parts = []
    if {"power-2", "softmax"} <= found.keys():
        bare = found["power-2"][max(found["power-2"])]
        (softmax,) = list(found["softmax"].values())[-1:]
        parts = [Part("power-2 less softmax", means.difference(bare, softmax), POSITIVE)]
    return judge(BEHIND, parts, f"nats at {context:,}", more=[on_noise(means.noise)], trained=bool(study.finished))


def cured(studies: Studies) -> Claim:
    """Power-2 at the largest state of both: behind softmax without a gate, better with one, by half of that or more."""
    study, context, means = _longest(studies)
    found = _families(means, context)
    parts = []
    bare, gated = found.get("power-2", {}), found.get("power-2-gated", {})
    pairs = [(state, other) for state in bare for other in gated if 0.9 < state / other < 1.1]  # a gate has no state
    words = []
    if pairs and "softmax" in found:
        state, other = max(pairs)
        softmax = list(found["softmax"].values())[-1]
        cured, gap = means.difference(bare[state], gated[other]), means.difference(bare[state], softmax)
        half = means.estimate(lambda at: CURE * at(softmax) + (1 - CURE) * at(bare[state]) - at(gated[other]))
        parts = [
            Part(f"without less with, {labels.decimal(state)} elements", cured, POSITIVE),
            Part("without less softmax", gap, POSITIVE),
            Part(f"closed of that, beyond {CURE:.0%} of it", half, POSITIVE),
        ]
        shown = parts[1].verdict() == "confirmed"
        words = [f"{cured.value / gap.value:.0%} of the gap closed" if shown else "no gap beyond the noise"]
    return judge(
        CURED, parts, f"nats at {context:,}", more=[*words, on_noise(means.noise)], trained=bool(study.finished)
    )


def u_shape(studies: Studies) -> Claim:
    """The shortest context less the next, the longest less the one before: both are worse if the best lies inside.

    Each family is read at the training FLOPs that its cheapest run has before its decay.
    """
    study, noise = studies[CONTEXT], studies.noise_before_decay(CONTEXT)
    parts = []
    for family in runs.families(study.finished):
        means = at_compute([row for row in study.finished if row["family"] == family], noise)
        columns = {} if family.startswith("softmax") or not means.values else over_states(means, family)
        contexts = sorted(columns)
        if len(contexts) > 2:
            for end, inner in ((contexts[0], contexts[1]), (contexts[-1], contexts[-2])):
                estimate = seeds.of_column(columns[end] - columns[inner])
                parts.append(Part(f"{family}, {end:,} less {inner:,}", estimate, POSITIVE))
    unit = f"nats at {study.longest:,} at equal training FLOPs, mean over states"
    return judge(U_SHAPE, parts, unit, more=[on_noise(noise)], trained=bool(study.finished))


def over_states(means: Means, family: str) -> dict[int, Array]:
    """A family's mean loss by training context, over the states that every context has, at its first size and text."""
    first = next(place for place in places(means) if place[0] == family)
    found = by_context(means, family, first[1], first[3])
    return {
        context: np.mean([means.column(setting) for setting in states.values()], axis=0)
        for context, states in found.items()
        if states
    }


def _longest(studies: Studies) -> tuple[Study, int, Means]:
    """The study, its longest training context, and means there, evaluated at it or at the nearest below."""
    study = studies[CONTEXT]
    context = max(runs.train_contexts(study.finished), default=0)
    evaluated = [at for at in runs.eval_contexts(study.finished) if at <= context]
    return study, context, studies.means(CONTEXT, max(evaluated, default=study.longest))


def _families(means: Means, context: int) -> dict[str, dict[int, tuple]]:
    return {place[0]: by_state(means, place) for place in places(means) if place[2] == context}


def _sees_all(row: Row) -> bool:
    return row["family"] == "softmax" or row["mixer"].get("window", 0) >= row["train_context"]


def _states(found: dict[str, Place]) -> str:
    return "elements: " + ", ".join(f"{family} {labels.decimal(state)}" for family, state, _ in found.values())
