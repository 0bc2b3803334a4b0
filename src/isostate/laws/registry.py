"""Published fits: values, intervals, objective, source, and where a public table is (address, SHA-256, licence).

The tables are not shipped. `fetch` downloads one into a cache and verifies it, `refit` fits it as its authors say they
did and sets our values beside theirs. Where the runs are public but not as one table that could be verified, `runs`
says where they are. `source` says where values are not as printed: Gadre's follow from their released runs, Kumar's
are transcribed. Farseer's coefficients were not to be found in print, so it has no entry.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from isostate.config import UserError, nearest
from isostate.laws.batch import NOISE_SCALE, STEP_LAW_BATCH, STEP_LAW_LR
from isostate.laws.chinchilla import CHINCHILLA
from isostate.laws.fit import fit_law, objective_named
from isostate.laws.frontier import FRONTIER
from isostate.laws.kaplan import KAPLAN
from isostate.laws.law import Array, Law
from isostate.laws.options import Scheme
from isostate.laws.overtraining import DOWNSTREAM, OVERTRAINING
from isostate.laws.precision import PRECISION
from isostate.laws.repetition import REPETITION
from isostate.laws.result import Fit, Interval
from isostate.laws.routed import FINE_GRAINED, ROUTED
from isostate.laws.table import Table, numbers
from isostate.laws.table_file import read_table

Columns = tuple[dict[str, Array], Array]


@dataclass(frozen=True)
class PublicTable:
    """Where a table lives; `columns` turns it into the law's inputs and losses as its authors used it."""

    address: str
    sha256: str
    licence: str
    columns: Callable[[Table], Columns]


@dataclass(frozen=True)
class PublishedFit:
    """One published fit. `intervals` as printed (95 % unless the source says otherwise)."""

    name: str
    law: Law
    values: dict[str, float]
    objective: str | None
    source: str
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    table: PublicTable | None = None
    runs: str = ""  # in words, where the runs are that no single table holds
    resampling: Scheme | None = None  # the bootstrap of its intervals, where that is told


def _epoch_columns(table: Table) -> Columns:
    """D = C / 6N; the five largest losses are dropped, as Besiroglu et al. do."""
    N, C, L = (numbers(table, name) for name in ("Model Size", "Training FLOP", "loss"))
    kept = np.sort(L)[-5] > L
    return {"N": N[kept], "D": C[kept] / (6.0 * N[kept])}, L[kept]


def _clark_columns(router: str) -> Callable[[Table], Columns]:
    def columns(table: Table) -> Columns:
        """The last step of each run, routing every second block, k = 1, seed 42; dense runs have one expert."""
        step, run = numbers(table, "step"), numbers(table, "hyper_id")
        kind = np.array([str(value) for value in table["router_type"]])
        order = np.lexsort((step, run))
        last = np.zeros(len(run), bool)
        last[order[np.append(run[order][1:] != run[order][:-1], True)]] = True
        kept = last & np.isin(kind, ["Dense", router]) & (numbers(table, "routing_frequency") == 0.5)
        kept &= (numbers(table, "k") == 1) & (numbers(table, "seed") == 42)
        N, E = numbers(table, "dense_parameter_count")[kept], numbers(table, "num_experts")[kept]
        return {"N": N, "E": E}, numbers(table, "loss_validation")[kept]

    return columns


EPOCH_TABLE = PublicTable(
    "https://raw.githubusercontent.com/epoch-research/analyzing-chinchilla/"
    "92258837425e1b5f2851d624287f0120583a3d0e/data/svg_extracted_data.csv",
    "193478df4e90f040016431996c45682659306840ecdadf83cfb9cd5ca0aa1b30",
    "none stated in its repository",
    _epoch_columns,
)
CLARK_ADDRESS = (
    "https://raw.githubusercontent.com/google-deepmind/scaling_laws_for_routing/"
    "42da0c392b127df2c01fa7b705f72396050d05e5/data/curves.csv.gz"
)
CLARK_SHA256 = "c03e7531add85e594f368d33bac4a0220280be858a7ed12d147cf73af6a3819f"


def _chinchilla(E: float, A: float, B: float, alpha: float, beta: float) -> dict[str, float]:
    return {"E": E, "A": A, "B": B, "alpha": alpha, "beta": beta}


def _clark(name: str, router: str, *values: float) -> PublishedFit:
    table = PublicTable(CLARK_ADDRESS, CLARK_SHA256, "CC-BY 4.0", _clark_columns(router))
    named = dict(zip(ROUTED.names, values, strict=True))
    return PublishedFit(name, ROUTED, named, "squares-log", "Clark et al. 2022, table 3", table=table)


DATABLATIONS = (
    "transcribed in the notebook utils/parametric_fit.ipynb of github.com/huggingface/datablations at commit "
    "13701315b163 (Apache-2.0), not in a table that could be verified; copy them into one and fit that"
)
OVERTRAINED = (
    "208 JSON files in exp_data/ of github.com/mlfoundations/scaling at commit a003c4913793 (MIT), not one table that "
    "could be verified; join them and fit the result"
)
ISOFLOPS = (
    "pandas pickles in data/ of github.com/formll/resolving-scaling-law-discrepancies at commit 0dc60d91b8a5 (MIT), "
    "which are not opened, since a pickle runs code; convert them and fit the table"
)
# N* = k C^a on RefinedWeb, from Kaplan's exponent to Hoffmann's: k, a, and a's 95 % interval of 1000 bootstraps.
PORIAN = {
    "porian-kaplan": (4.23197e-08, 0.835300, 0.8235, 0.8460),  # Kaplan's own counting, warm-up and decay
    "porian-head": (1.27018e-05, 0.706470, 0.6915, 0.7169),  # the last layer's FLOPs counted
    "porian-warmup": (1.43092e-03, 0.602038, 0.5914, 0.6173),  # a warm-up as long as small models need
    "porian-decay": (4.76929e-03, 0.571495, 0.5598, 0.5885),  # the decay matched to each run
    "porian-tuned": (0.118926, 0.496895, 0.4907, 0.5045),  # rate, batch and beta_2 tuned by size, no decay
}


def _porian(name: str, k: float, a: float, low: float, high: float) -> PublishedFit:
    source = "Porian et al. 2024, figure 1 (unrounded, from their released fits)"
    return PublishedFit(name, FRONTIER, {"k": k, "a": a}, "squares-log", source, {"a": (low, high)}, runs=ISOFLOPS)


def _gadre(name: str, law: Law, *values: float) -> PublishedFit:
    source = "Gadre et al. 2024, eq. 4 and 5, as their released runs give them: C4 loss, error averaged over 17 tasks"
    return PublishedFit(name, law, dict(zip(law.names, values, strict=True)), "squares", source, runs=OVERTRAINED)


PUBLISHED: dict[str, PublishedFit] = {
    fit.name: fit
    for fit in (
        PublishedFit(
            "epoch-chinchilla",
            CHINCHILLA,
            _chinchilla(1.8172, 482.01, 2085.43, 0.3478, 0.3658),
            "likelihood",
            "Besiroglu et al. 2024",
            {"alpha": (0.317, 0.373), "beta": (0.331, 0.415), "E": (1.769, 1.871)},
            EPOCH_TABLE,
            resampling="case",
        ),
        PublishedFit(
            "hoffmann-chinchilla",
            CHINCHILLA,
            _chinchilla(
                float(np.exp(0.5267228)), float(np.exp(6.0073404)), float(np.exp(6.0179186)), 0.33917084, 0.2849083
            ),
            "huber",
            "Hoffmann et al. 2022, section D.2 (unrounded, from the TeX source)",
            table=EPOCH_TABLE,
        ),
        PublishedFit(
            "kaplan",
            KAPLAN,
            {"N_c": 6.4e13, "D_c": 1.8e13, "a_N": 0.076, "a_D": 0.103},
            None,
            "Kaplan et al. 2020, table 2",
        ),
        PublishedFit(
            "kaplan-batch", NOISE_SCALE, {"B_star": 2.1e8, "alpha_B": 0.21}, None, "Kaplan et al. 2020, eq. 1.4"
        ),
        PublishedFit(
            "muennighoff",
            REPETITION,
            {"R_N": 5.309743, "R_D": 15.387756},
            "huber",
            "Muennighoff et al. 2023, section 6 (unrounded, from the notebook)",
            runs=DATABLATIONS,
        ),
        _gadre("gadre-c4", OVERTRAINING, 1.51, 141.0, 190.0, 0.121),
        _gadre("gadre-redpajama", OVERTRAINING, 1.84, 212.0, 367.0, 0.136),
        _gadre("gadre-refinedweb", OVERTRAINING, 1.73, 157.0, 246.0, 0.127),
        _gadre("gadre-c4-downstream", DOWNSTREAM, 0.850, 2.08, 0.756),
        _gadre("gadre-redpajama-downstream", DOWNSTREAM, 0.857, 2.21, 0.715),
        _gadre("gadre-refinedweb-downstream", DOWNSTREAM, 0.865, 2.21, 0.707),
        *(_porian(name, *values) for name, values in PORIAN.items()),
        PublishedFit(
            "kumar-precision",
            PRECISION,
            {"E": 2.7648, "A": 4299.0, "B": 18060.0, "alpha": 0.4965, "beta": 0.4965, "gamma": 2.6745},
            None,
            "Kumar et al. 2024, table 2, as transcribed (alpha = beta tied; without the offset of their bits, .3037)",
        ),
        _clark("clark-s-base", "S-Base", -0.082, -0.108, 0.009, 1.104, 1.847, 314.5),
        _clark("clark-rl-r", "RL-R", -0.083, -0.126, 0.012, 1.111, 1.880, 470.0),
        _clark("clark-hash", "Hash", -0.087, -0.136, 0.012, 1.157, 4.175, 477.7),
        PublishedFit(
            "krajewski",
            FINE_GRAINED,
            {"c": 0.47, "g": 2.1, "a": 18.1, "b": 30.8, "gamma": 0.58, "alpha": 0.115, "beta": 0.147},
            "huber",
            "Krajewski et al. 2024, table 3",
        ),
        PublishedFit(
            "step-law-lr", STEP_LAW_LR, {"k": 1.79, "a": -0.713, "b": 0.307}, None, "Li et al. 2025, Step Law"
        ),
        PublishedFit("step-law-batch", STEP_LAW_BATCH, {"k": 0.58, "b": 0.571}, None, "Li et al. 2025, Step Law"),
    )
}


def published(name: str) -> PublishedFit:
    """The published fit of that name, or a UserError that names the nearest."""
    if name not in PUBLISHED:
        raise UserError(f"no published fit {name!r}{nearest(name, PUBLISHED)}; there are {', '.join(PUBLISHED)}")
    return PUBLISHED[name]


def as_fit(theirs: PublishedFit) -> Fit:
    """The published values as a fit: without points or draws, so nothing that follows from them has an interval."""
    params = {name: Interval(value, *theirs.intervals.get(name, ())) for name, value in theirs.values.items()}
    objective = objective_named(theirs.objective).words if theirs.objective else "not stated"
    return Fit(theirs.law, objective, f"as published: {theirs.source}", 0.95, (), params=params, converged=True)


def fetch(fit: PublishedFit, cache: Path) -> Path:
    """The fit's table in `cache`, downloaded if it is not there; its SHA-256 is verified either way."""
    if fit.table is None:
        known = f"its runs are {fit.runs}" if fit.runs else "its authors published no table; only its values are known"
        raise UserError(f"{fit.name}: {known}")
    path = cache / f"{fit.table.sha256[:12]}-{fit.table.address.rpartition('/')[2]}"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        try:
            with urllib.request.urlopen(fit.table.address, timeout=60) as answer:
                content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise UserError(f"cannot fetch {fit.table.address}: {error}; put the file at {path} by hand") from None
        partial = path.with_name(path.name + ".partial")
        partial.write_bytes(content)
        os.replace(partial, path)
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != fit.table.sha256:
        raise UserError(
            f"{path}: SHA-256 is {found[:12]}..., expected {fit.table.sha256[:12]}...; delete it and fetch again"
        )
    return path


def refit(name: str, cache: Path, **options: Any) -> tuple[PublishedFit, Fit, list[dict[str, Any]]]:
    """Fetches, verifies and refits a public table: (theirs, ours, a row per parameter with both and the difference)."""
    theirs = published(name)
    x, y = public_columns(theirs, cache)
    named = {"objective": theirs.objective, "resampling": theirs.resampling}
    ours = fit_law(theirs.law, x, y, **(named | options))
    return theirs, ours, beside(theirs, ours)


def public_columns(fit: PublishedFit, cache: Path) -> Columns:
    """Inputs and losses of the fit's public table, as its authors used them; fetched and verified."""
    path = fetch(fit, cache)
    assert fit.table is not None
    return fit.table.columns(read_table(path))


def beside(theirs: PublishedFit, ours: Fit) -> list[dict[str, Any]]:
    """A row per parameter: their value and ours, the relative difference, both intervals."""
    return [
        {"parameter": key, "theirs": value, "ours": ours.values[key], "relative": ours.values[key] / value - 1.0}
        | {"their_interval": theirs.intervals.get(key), "our_interval": (ours.params[key].low, ours.params[key].high)}
        for key, value in theirs.values.items()
    ]
