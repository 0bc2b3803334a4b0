"""Tables in which what the note claims was planted, or its contrary: a rule's losses, to a seed noise of a choice."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from isostate.report.note import Studies, Study
from tests.report import studies

NOISE = 0.004


def row(family: str, state: int, loss: float, seed: int = 0, noise: float = NOISE, **where) -> dict:
    """A finished run of that loss at both evaluated contexts, give or take a seed's noise."""
    made = studies.run(family, state=state, seed=seed, **where)
    name = hashlib.sha256(f"{family} {state} {seed} {sorted(where.items())}".encode()).hexdigest()[:12]
    error = noise * float(np.random.Generator(np.random.Philox(int(name, 16))).normal())
    for final in made["final"].values():
        final["loss_nats"] = loss + error
    return made


def rows(family: str, states, loss: Callable[[int], float], seeds=(0, 1, 2), **where) -> list[dict]:
    return [row(family, state, loss(state), seed, **where) for state in states for seed in seeds]


def study(name: str, table: list[dict], laws=()) -> Studies:
    return Studies([Study(name, table, laws)])
