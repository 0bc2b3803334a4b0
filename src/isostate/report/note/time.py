"""What the note claims of a limited time: too much state or context hurts in a short one, and a longer one wants more.

Times are compared while every setting of a family still trains: from the first evaluation of the slowest to the end of
the fastest. Beyond it the fast ones stand still, and before it the slow ones have nothing to show. These losses are
read at the full learning rate, so their noise is that of such losses (Studies.noise_before_decay).
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np

from isostate.report import labels, reading, seeds
from isostate.report import rows as runs
from isostate.report.claims import POSITIVE
from isostate.report.note.claim import NOTE, Asked, Claim, Part, judge
from isostate.report.note.context import slope
from isostate.report.note.studies import TIME_BUDGETS, Studies, on_noise
from isostate.report.rows import Row
from isostate.report.seeds import Array, Estimate, Means

SHORT = "“if we only allow the runs 6h … too much {} … end up hurting”"
LONG = "“the more time we give them, the optimum option is to increase” the {}"
Axis = Literal["state", "training context"]
AXES: tuple[Axis, ...] = ("state", "training context")
NOTES_RATIO = 24 / 6  # hours
A_STEP = 1e-9  # any step of a grid is longer: a factor that must lie above 1, and at 1 is not refuted
LEAST_RATIO = 1.25  # of the longest to the shortest time, for what changes between them


@dataclass(frozen=True)
class Budgets:
    """A family at its shortest and longest time: `means` by ("short" | "long", family, setting).

    `settings` (context, state) are a full grid: of the states those that every context has.
    """

    family: str
    means: Means
    seconds: tuple[float, float]
    settings: tuple[tuple[int, int], ...]

    def column(self, when: str, axis: Axis, at: int) -> Array:
        """The mean loss over the other axis of the settings with this value on `axis`, with its draws."""
        chosen = [setting for setting in self.settings if _on(axis, setting) == at]
        return np.mean([self.means.column((when, self.family, setting)) for setting in chosen], axis=0)

    def values(self, axis: Axis) -> list[int]:
        """The values of an axis, smallest first."""
        return sorted({_on(axis, setting) for setting in self.settings})

    def best(self, when: str) -> tuple[int, int]:
        """The best setting."""
        return min(self.settings, key=lambda setting: self.means.values[when, self.family, setting])

    def moved(self, axis: Axis) -> Estimate:
        """The best value of the axis in the longest time over that in the shortest: in each draw that draw's own."""
        on = np.array([_on(axis, setting) for setting in self.settings], dtype=float)
        short, long = (
            on[np.argmin([self.means.column((when, self.family, s)) for s in self.settings], axis=0)]
            for when in ("short", "long")
        )
        return seeds.of_column(long / short)

    def told(self, when: str) -> str:
        """'2,048 tokens and 34.8K elements' of the best setting."""
        context, state = self.best(when)
        return f"{context:,} tokens and {labels.decimal(state)} elements"


def of_the_time(studies: Studies) -> list[Claim]:
    """Both claims, for state and for context."""
    found = budgets(studies)
    trained = bool(studies[TIME_BUDGETS].finished)
    return [*(hurts(found, axis, trained) for axis in AXES), *(grows(found, axis, trained) for axis in AXES)]


def hurts(found: list[Budgets], axis: Axis, trained: bool) -> Claim:
    """In the shortest time the largest value less the last but one: if that is worse, the best lies below the end."""
    parts, words = [], []
    for one in found:
        values = one.values(axis)
        if len(values) > 1:
            column = one.column("short", axis, values[-1]) - one.column("short", axis, values[-2])
            what = f"{one.family}, {_shown(axis, values[-1])} less {_shown(axis, values[-2])}"
            parts.append(Part(what, seeds.of_column(column), POSITIVE))
            words.append(f"best after {labels.duration(one.seconds[0])}: {one.told('short')}")
    asked = Asked(f"hurts-{axis.split()[-1]}", SHORT.format(axis), NOTE, TIME_BUDGETS)
    return judge(asked, parts, "nats in the shortest time", more=[*words, *_noise(found)], trained=trained)


def grows(found: list[Budgets], axis: Axis, trained: bool) -> Claim:
    """By how much more a fourfold of the axis pays in the longest time than in the shortest; whether the best moved up.

    A best value that stays where it is, on a grid of so few, decides nothing.
    """
    parts, words = [], []
    for one in found:
        values = one.values(axis)
        if len(values) > 1 and one.seconds[1] >= LEAST_RATIO * one.seconds[0]:
            x = [math.log(value, 4) for value in values]
            columns = [one.column("short", axis, v) - one.column("long", axis, v) for v in values]
            parts.append(Part(one.family, slope(x, columns), POSITIVE))
            parts.append(Part(f"{one.family}, best {axis} times", one.moved(axis), (1.0, math.inf), within=-A_STEP,
                              spec=".3g"))  # fmt: skip
            short, long = map(labels.duration, one.seconds)
            longer = f"{one.seconds[1] / one.seconds[0]:.2g} times that (the note: {NOTES_RATIO:.0f})"
            best = f"{one.family} is best with {one.told('short')} after {short}"
            words.append(f"{best}, {one.told('long')} after {long}, {longer}")
    asked = Asked(f"time-{axis.split()[-1]}", LONG.format(axis), NOTE, TIME_BUDGETS)
    unit = f"nats that four times the {axis} gains more in the longest time than in the shortest"
    return judge(asked, parts, unit, more=[*words, *_noise(found)], trained=trained)


def budgets(studies: Studies) -> list[Budgets]:
    """Of each family whose settings share a stretch of time."""
    study, noise = studies[TIME_BUDGETS], studies.noise_before_decay(TIME_BUDGETS)
    found = []
    for family in runs.families(study.finished):
        rows = [row for row in study.finished if row["family"] == family]
        curves = {row["run_id"]: reading.points(row, "seconds") for row in rows}
        rows = [row for row in rows if curves[row["run_id"]]]
        grid = _grid(rows)
        rows = [row for row in rows if _setting(row) in grid]
        if not rows:
            continue
        short = max(curves[row["run_id"]][0][0] for row in rows)
        long = min(curves[row["run_id"]][-1][0] for row in rows)
        if long >= short:
            means = _means(family, rows, curves, {"short": short, "long": long}, noise)
            found.append(Budgets(family, means, (short, long), grid))
    return found


def _grid(rows: list[Row]) -> tuple[tuple[int, int], ...]:
    settings = {_setting(row) for row in rows}
    contexts = sorted({context for context, _ in settings})
    states = [s for s in sorted({s for _, s in settings}) if all((context, s) in settings for context in contexts)]
    return tuple((context, state) for context in contexts for state in states)


def _means(
    family: str, rows: list[Row], curves: dict[str, reading.Points], when: dict[str, float], noise: seeds.Noise
) -> Means:
    groups: dict[Hashable, list[float]] = {}
    for name, seconds in when.items():
        for row in rows:
            loss = reading.read(curves[row["run_id"]], seconds)
            assert loss is not None, "both times lie within every curve"
            groups.setdefault((name, family, _setting(row)), []).append(loss)
    counts = {setting: len(losses) for setting, losses in groups.items()}
    return Means({setting: fmean(losses) for setting, losses in groups.items()}, counts, noise)


def _setting(row: Row) -> tuple[int, int]:
    return row["train_context"], runs.state(row)


def _noise(found: list[Budgets]) -> list[str]:
    return [on_noise(found[0].means.noise)] if found else []


def _on(axis: Axis, setting: tuple[int, int]) -> int:
    return setting[1] if axis == "state" else setting[0]


def _shown(axis: Axis, value: int) -> str:
    return labels.decimal(value) if axis == "state" else f"{value:,}"
