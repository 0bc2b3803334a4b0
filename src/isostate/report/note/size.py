"""What the note claims of state and model size: who gains by state, and how much state a size should have."""

from __future__ import annotations

import math

import numpy as np

from isostate.report import claims, equal_state, seeds
from isostate.report import rows as runs
from isostate.report.claims import POSITIVE
from isostate.report.joint_fits import n_params, settled, trained
from isostate.report.note.claim import NOTE, Asked, Claim, Part, judge, minus
from isostate.report.note.context import exponents
from isostate.report.note.studies import MODEL_SIZE, Studies, Study, at_compute, by_state, on_noise, places
from isostate.report.seeds import Array, Estimate, Means

LARGER = Asked("larger", "more state should help a tiny model less than a large one", NOTE, MODEL_SIZE)
ORDER = Asked("order", "“the state size should be of the same order as the parameter count”: best at fixed compute",
              NOTE, MODEL_SIZE)  # fmt: skip
ORDER_LAW = Asked("order-law", "“the state size should be of the same order as the parameter count”: S*(N) of the law",
                  NOTE, MODEL_SIZE)  # fmt: skip
FOLLOWS = Asked("follows", "the state worth having follows the parameter count: S* ~ N", NOTE, MODEL_SIZE)
LEAST_RANGE = 2.0  # of states that sizes share
FEW_LARGE = "not to be confirmed where less than three states of a tenth of the parameters or more were trained"
ENDS = ("low", "high")
BEYOND = "S* lies outside the states that were trained, and has no interval"


def of_the_size(studies: Studies) -> list[Claim]:
    """All, in the note's order."""
    study = studies[MODEL_SIZE]
    return [larger(studies), order(studies), order_by_law(study), follows(study)]


def larger(studies: Studies) -> Claim:
    """The fall over the states that the smallest and the largest size share: the largest's less the smallest's."""
    study, means = studies[MODEL_SIZE], studies.means(MODEL_SIZE)
    parts, words = [], []
    for family in runs.families(study.finished):
        columns, low, high = shared_falls(study, means, family)
        if len(columns) > 1:
            names = list(columns)
            estimate = seeds.of_column(columns[names[-1]] - columns[names[0]])
            parts.append(Part(f"{family}, {names[-1]} less {names[0]}", estimate, POSITIVE))
            told = ", ".join(f"{name} by {minus(column[0])}" for name, column in columns.items())
            words.append(f"{family} from {low:,.0f} to {high:,.0f} elements: {told}")
    unit = "nats that the same growth of state gains more"
    return judge(LARGER, parts, unit, more=[*words, on_noise(means.noise)], trained=bool(study.finished))


def shared_falls(study: Study, means: Means, family: str) -> tuple[dict[str, Array], float, float]:
    """By size, smallest first: the fall over the range of states of the smallest and the largest; that range."""
    sizes = {}
    for place in places(means):
        if place[0] == family and len(by_state(means, place)) > 1:
            sizes[place[1]] = by_state(means, place)
    ordered = [size for size in runs.sizes(study.finished) if size in sizes]
    if len(ordered) < 2:
        return {}, 0.0, 0.0
    ends = [sizes[ordered[0]], sizes[ordered[-1]]]
    low, high = float(max(map(min, ends))), float(min(map(max, ends)))
    if high < LEAST_RANGE * low:
        return {}, low, high
    found = {}
    for size in ordered:
        if min(sizes[size]) <= low and high <= max(sizes[size]):
            at_BX = equal_state.at_states(sizes[size], [low, high], means)
            found[study.size_word(size)] = at_BX[:, 0] - at_BX[:, 1]
    return found, low, high


def order(studies: Studies) -> Claim:
    """At each size the best state by the curves, read at the FLOPs that the cheapest setting has before its decay.

    A best state is confirmed by the ends of its range, and the lower end is a state below it, while the largest state
    trained has no upper end: so three of a tenth of the parameters or more must be there.
    """
    study = studies[MODEL_SIZE]
    noise = studies.noise_before_decay(MODEL_SIZE)
    parts, short = [], []
    for family in runs.families(study.finished):
        for size in runs.sizes(study.finished):
            rows = [row for row in study.finished if row["family"] == family and runs.size(row) == size]
            estimate = best_over_parameters(rows, noise)
            if estimate is not None:
                allowed = (1 / claims.ORDER, claims.ORDER)
                what = f"{family} at {study.size_word(size)}" if study.size_word(size) else family
                parts.append(Part(what, estimate, allowed, spec=".2g"))
                ratios = sorted({runs.state(row) / n_params(rows[0]) for row in rows})
                if ratios[-3] < allowed[0]:
                    short.append(f"{ratios[-1]:.2g} of them for {what}")
    told = f"{FEW_LARGE}: the largest is {', '.join(short)}" if short else ""
    unit = "best state over parameters, between its neighbours in the study"
    return judge(ORDER, parts, unit, more=[told, on_noise(noise)], trained=bool(study.finished))


def best_over_parameters(rows: list[runs.Row], noise: seeds.Noise) -> Estimate | None:
    """The best state over the parameters at one compute.

    The best lies between the neighbours of the best state that was trained; at the edge of these it has one alone.
    """
    means = at_compute(rows, noise)
    setting = {runs.state(row): runs.cell(row) for row in rows if runs.cell(row) in means.values}
    states = sorted(setting)
    if len(states) < 3:
        return None
    column_SB = np.stack([means.column(setting[state]) for state in states])
    best_B = np.argmin(column_SB, axis=0)
    ratios = np.array(states, dtype=float) / n_params(rows[0])
    walled = np.concatenate([[0.0], ratios, [math.inf]])
    value = float(ratios[best_B[0]])
    if len(best_B) == 1:
        return Estimate(value)
    return Estimate(value, draws=walled[best_B[1:]], upper=walled[best_B[1:] + 2])


def order_by_law(study: Study) -> Claim:
    """S*(N), where a doubling of state gains as much as one of the parameters, over N.

    An S* that no trained state comes near is the law's alone, and decides nothing.
    """
    parts, beyond = [], []
    for entry in study.laws:
        if entry["law"] == "state-params" and entry["params"]:
            for point in entry["best"]:
                what, inside = f"{entry['group']['family']} at {point['x'] / 1e6:.2g}M", point in trained(entry)
                told = settled(entry) and inside
                ends = {key: point[key] / point["x"] if told and point[key] is not None else None for key in ENDS}
                estimate = seeds.from_interval({"value": point["value"] / point["x"], **ends}, factors=True)
                parts.append(Part(what, estimate, (1 / claims.ORDER, claims.ORDER), spec=".2g"))
                if not inside:
                    beyond.append(what)
    outside = f"{BEYOND}: {', '.join(beyond)}" if beyond else ""
    return judge(ORDER_LAW, parts, "S*(N) over N", more=[outside], trained=bool(study.finished))


def follows(study: Study) -> Claim:
    """The exponent of S*(N), by each family's joint law of state and parameters."""
    parts, words = exponents(study, "state-params")
    return judge(FOLLOWS, parts, "exponent of S*(N)", more=words, trained=bool(study.finished))
