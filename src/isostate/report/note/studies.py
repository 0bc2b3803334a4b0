"""The studies that answer the note: their tables and laws by name, and how large the seed noise of each is."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from statistics import fmean
from typing import Any

from isostate.report import labels, reading, seeds
from isostate.report import rows as runs
from isostate.report.rows import Row
from isostate.report.seeds import Means, Noise

STATE_LAWS, CONTEXT, MODEL_SIZE, TIME_BUDGETS, DATA = (
    "01_state_laws", "02_context", "03_model_size", "04_time_budgets", "05_data",
)  # fmt: skip
BEFORE_DECAY = "before the decay"


@dataclass(frozen=True)
class Study:
    """One study's table (records.table_of) and its laws (fits.fit_laws); empty where nothing is trained yet."""

    name: str
    table: Sequence[Row] = ()
    laws: Sequence[dict[str, Any]] = field(default=())

    @cached_property
    def finished(self) -> list[Row]:
        """The runs that laws and figures use."""
        return runs.drawn(self.table)

    @cached_property
    def longest(self) -> int:
        """The longest evaluated context; 0 without runs."""
        return max(runs.eval_contexts(self.finished), default=0)

    def at(self, context: int) -> list[Row]:
        """Finished runs with a loss at this evaluated context."""
        return runs.evaluated_at(self.finished, context)

    def noise(self, context: int | None = None) -> Noise:
        """Of one run's loss at an evaluated context, the longest by default."""
        return seeds.pooled(runs.losses(self.finished, context).values())

    def noise_before_decay(self) -> Noise:
        """Of one run's loss on the way (reading.points), which the full rate and fewer evaluated tokens make larger.

        A setting's variance between seeds is the mean over the updates at which several were evaluated. A run strays to
        one side for many updates, so these are no further degrees of freedom: the setting's own count once.
        """
        groups: dict[tuple, dict[float, list[float]]] = {}
        for row in self.finished:
            for train_flops, loss in reading.points(row, "flops"):
                groups.setdefault(runs.cell(row), {}).setdefault(train_flops, []).append(loss)
        squares, dof = 0.0, 0
        for at in groups.values():
            found = [noise for noise in (seeds.pooled([losses]) for losses in at.values()) if noise.sd is not None]
            if found:
                own = max(noise.dof for noise in found)
                squares += own * fmean(noise.sd**2 for noise in found if noise.sd is not None)
                dof += own
        return Noise(math.sqrt(squares / dof) if dof else None, dof, when=BEFORE_DECAY)

    def size_word(self, size: tuple[int, int]) -> str:
        """'200K', the parameters outside the embedding; '' where the study has one size."""
        if len(runs.sizes(self.finished)) < 2:
            return ""
        counts = sorted(row["n_params"]["non_embedding"] for row in self.finished if runs.size(row) == size)
        return labels.decimal(counts[len(counts) // 2])


class Studies:
    """Studies by name; one that is not there is empty."""

    def __init__(self, found: Iterable[Study]) -> None:
        self._found: Mapping[str, Study] = {study.name: study for study in found}

    def __getitem__(self, name: str) -> Study:
        return self._found.get(name) or Study(name)

    def noise(self, name: str, context: int | None = None) -> Noise:
        """The study's own seed noise, or that of the first other study that repeats seeds, which is then said."""
        found = self[name].noise(context)
        for other in sorted(self._found):
            found = found.or_else(replace(self._found[other].noise(), source=other))
        return found

    def noise_before_decay(self, name: str) -> Noise:
        """The same of losses on the way: the study's own, or that of the first other study that repeats seeds."""
        found = self[name].noise_before_decay()
        for other in sorted(self._found):
            found = found.or_else(replace(self._found[other].noise_before_decay(), source=other))
        return found

    def means(self, name: str, context: int | None = None) -> Means:
        """Of the study's settings (rows.cell) at an evaluated context, the longest by default."""
        study = self[name]
        context = study.longest if context is None else context
        noise = self.noise(name, context)
        return seeds.means(study.at(context), runs.cell, lambda row: runs.final_loss(row, context), noise)


def at_compute(rows: list[Row], noise: Noise) -> Means:
    """Of the settings (rows.cell) read at the FLOPs that the cheapest run has before its decay; empty without curves.

    A run that is first evaluated after as many is left out.
    """
    curves = {row["run_id"]: points for row in rows if (points := reading.points(row, "flops"))}
    budget = min((points[-1][0] for points in curves.values()), default=0.0)
    losses = {run: loss for run, points in curves.items() if (loss := reading.read(points, budget)) is not None}
    kept = [row for row in rows if row["run_id"] in losses]
    return seeds.means(kept, runs.cell, lambda row: losses[row["run_id"]], noise)


def on_noise(noise: Noise) -> str:
    """How large the noise of one run is, of which losses, and whose: 'noise 0.0260, 20 dof'."""
    if noise.sd is None:
        return "no setting has two seeds, so there is no interval"
    when, whose = f" {noise.when}" if noise.when else "", f" in {noise.source}" if noise.source else ""
    return f"noise{when} {noise.sd:.4f}, {noise.dof} dof{whose}"


def by_state(means: Means, place: tuple) -> dict[int, tuple]:
    """The settings of a place (a cell without its state) by state."""
    found = {setting[-1]: setting for setting in means.values if isinstance(setting, tuple) and setting[:-1] == place}
    return {state: found[state] for state in sorted(found)}


def places(means: Means) -> list[tuple]:
    """Every place that has a setting: (family, size, training context, condition), in a fixed order."""
    found = {setting[:-1] for setting in means.values if isinstance(setting, tuple)}
    return sorted(found, key=lambda place: (place[1:], place[0]))


def by_context(means: Means, family: str, size: Any, condition: Any) -> dict[int, dict[int, tuple]]:
    """A family's settings by training context and state: the states that every context has.

    A window wider than a context holds only that, which is another state.
    """
    found = {
        place[2]: by_state(means, place)
        for place in places(means)
        if (place[0], place[1], place[3]) == (family, size, condition)
    }
    shared = set.intersection(*map(set, found.values())) if found else set()
    return {
        context: {state: setting for state, setting in states.items() if state in shared}
        for context, states in sorted(found.items())
    }
