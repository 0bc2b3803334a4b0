"""The answer in a sentence or two, from the numbers alone: which family has the lowest loss at equal state.

Families are compared where their fitted laws and 95 % bands overlap in state, at the model size and contexts with the
most runs (the ones that the first figure opens with). Overlapping intervals are said to overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import numpy as np

from isostate.report import fits, labels
from isostate.report import rows as runs
from isostate.report.rows import Row

GRID = 65  # states compared within a shared range


@dataclass(frozen=True)
class Law:
    """A family's fitted law over the states it was trained at, in nats per token."""

    family: str
    fit: dict[str, Any]

    @property
    def span(self) -> tuple[float, float]:
        sizes = [point["x"] for point in self.fit["points"]]
        return min(sizes), max(sizes)

    def at(self, state: float) -> tuple[float, float, float]:
        """(loss, low, high) at this state."""
        curve = self.fit["curve"]
        x = np.log(curve["x"])
        value, low, high = (float(np.interp(math.log(state), x, curve[name])) for name in ("y", "low", "high"))
        return value, low, high


def answer(table: list[Row], entries: list[dict[str, Any]]) -> str:
    """Plain text; names in it are still whatever somebody typed, without control characters."""
    finished = runs.drawn(table)
    if not finished:
        return "No run has finished yet, so there is no answer yet; this page fills in as runs finish."
    groups = list(fits.groups(finished))
    place = max({_place(finished, group): 0 for group, _ in groups}, key=lambda at: _weight(at, groups, finished))
    here = [(group, members) for group, members in groups if _place(finished, group) == place]
    laws = []
    for group, _ in here:
        fit = fits.find(entries, group)
        if fit is not None and fit["params"]:
            laws.append(Law(labels.plain(group["family"]), fit))
    group = here[0][0]
    size = next(key for key in runs.sizes(finished) if runs.size_name(key) == group["size"])
    where = (
        f"Measured with {runs.size_label(finished, size)}, trained at context {group['train_context']:,}, "
        f"evaluated at {group['eval_context']:,}."
    )
    shared = _shared_span(laws)
    if shared:
        return f"{_compare(*shared)} {_warn(shared[0])}{where}"
    if len(here) == 1 and laws:
        return f"{_describe(laws[0])} {where}"
    return f"{_without_laws(here)} {where}"


def _place(finished: list[Row], group: dict[str, Any]) -> tuple:
    """A group's coordinates without its family, in the order in which later is preferred."""
    names = [runs.size_name(key) for key in runs.sizes(finished)]
    return (names.index(group["size"]), group["condition"], group["train_context"], group["eval_context"])


def _weight(place: tuple, groups: list, finished: list[Row]) -> tuple:
    return sum(len(members) for group, members in groups if _place(finished, group) == place), place


def _shared_span(laws: list[Law]) -> tuple[list[Law], float, float] | None:
    """The laws that most share a range of state, and that range (the widest of equals); None where no two do."""
    ends = sorted({end for law in laws for end in law.span})
    best: tuple[int, float, list[Law], float, float] | None = None
    for low in ends:
        for high in (end for end in ends if end > low):
            inside = [law for law in laws if law.span[0] <= low and high <= law.span[1]]
            key = (len(inside), math.log(high / low))
            if len(inside) > 1 and (best is None or key > best[:2]):
                best = (*key, inside, low, high)
    return best[2:] if best else None


def _compare(laws: list[Law], low: float, high: float) -> str:
    grid = np.geomspace(low, high, GRID)
    leaders = [min(laws, key=lambda law: law.at(state)[0]) for state in grid]
    span = f"from {labels.decimal(low)} to {labels.decimal(high)} elements"
    if len({law.family for law in leaders}) == 1:
        lead = f"At equal state {leaders[0].family} has the lowest loss {span}"
    else:
        parts = [f"{leaders[0].family} at {labels.decimal(low)} elements"]
        for state, before, after in zip(grid[1:], leaders, leaders[1:], strict=False):
            if after is not before:
                parts.append(f"{after.family} from about {labels.decimal(state)}")
        lead = f"Which family has the lowest loss at equal state depends on the state: {labels.listing(parts)}"
    trained = {point["x"] for law in laws for point in law.fit["points"] if low <= point["x"] <= high}
    middle = min(trained, key=lambda state: (abs(math.log(state * state / (low * high))), state))
    ranked = sorted(laws, key=lambda law: law.at(middle)[0])
    first, second = ranked[:2]
    numbers = (
        f"At {labels.decimal(middle)} the law of {first.family} gives {_value(first, middle)} nats per token, that of "
        f"{second.family}, the next, {_value(second, middle)}."
    )
    return f"{lead}. {numbers} {_overlaps(leaders, laws, grid)}"


def _warn(laws: list[Law]) -> str:
    """A pointer to the alarms of the laws that were compared, with a space after it; '' where there are none."""
    alarmed = [law.family for law in laws if law.fit["alarms"]]
    if not alarmed:
        return ""
    noun = "law" if len(alarmed) == 1 else "laws"
    return f"Mind the alarms on the {noun} of {labels.listing(alarmed)}, in the table of laws. "


def _overlaps(leaders: list[Law], laws: list[Law], grid: np.ndarray) -> str:
    """Which families the 95 % intervals cannot tell from the leader, and over which states."""
    everywhere, somewhere = [], []
    for law in laws:
        touching = [
            float(state)
            for state, leader in zip(grid, leaders, strict=True)
            if law is not leader and law.at(state)[1] <= leader.at(state)[2]
        ]
        if touching and len(touching) == sum(law is not leader for leader in leaders):
            everywhere.append(law.family)
        elif touching:
            somewhere.append(f"{law.family} {_range(touching[0], touching[-1])}")
    rivals = [f"{labels.listing(everywhere)} everywhere", *somewhere] if everywhere else somewhere
    if not rivals:
        return "Nowhere in that range does the 95 % interval of another family overlap the lowest one's."
    return f"The 95 % interval of the lowest overlaps that of {labels.listing(rivals)}: there the order is not settled."


def _range(low: float, high: float) -> str:
    """In words, as one number where both ends round to the same."""
    first, last = labels.decimal(low), labels.decimal(high)
    return f"at about {first}" if first == last else f"between {first} and {last}"


def _value(law: Law, state: float) -> str:
    value, low, high = law.at(state)
    return f"{labels.loss(value)} [{labels.loss(low)}, {labels.loss(high)}]"


def _describe(law: Law) -> str:
    low, high = law.span
    alpha = law.fit["params"]["alpha"]
    ends = f"{labels.loss(law.at(low)[0])} nats per token at {labels.decimal(low)} elements of state"
    exponent = f"{labels.number(alpha['value'], 3)} {labels.interval(alpha['low'], alpha['high'])}"
    return (
        f"The loss of {law.family} falls from {ends} to {labels.loss(law.at(high)[0])} at {labels.decimal(high)}, with "
        f"an exponent of {exponent}. A second family in the study would give a comparison."
    )


def _without_laws(here: list[tuple[dict, list[Row]]]) -> str:
    """Means alone, where too few laws could be fitted to compare: the state that most families share."""
    losses: dict[int, dict[str, float]] = {}
    for group, members in here:
        for state, seeds in runs.by_state(members).items():
            # states within a tenth of an octave count as equal
            bucket = round(10 * math.log2(state))
            mean = fmean(runs.final_loss(row, group["eval_context"]) for row in seeds)
            known = losses.setdefault(bucket, {})
            known[group["family"]] = min(mean, known.get(group["family"], mean))
    bucket = max(losses, key=lambda key: (len(losses[key]), key))
    ranked = sorted(losses[bucket].items(), key=lambda item: (item[1], item[0]))
    named = [f"{labels.plain(family)} {labels.loss(mean)}" for family, mean in ranked]
    about = f"at about {labels.decimal(2 ** (bucket / 10))} elements of state"
    if len(ranked) == 1:
        lone = f"{about}: {named[0]} nats per token."
        return f"No two families were trained at an equal state, so none can be called better; {lone}"
    return (
        f"Too few laws could be fitted to compare families with intervals; {about} the mean losses are "
        f"{labels.listing(named)} nats per token. Without intervals the order is not settled."
    )
