"""Do 95 % intervals cover 95 %? A thousand and more synthetic studies of every law, each fitted as a user's would be.

    python benchmarks/laws_coverage.py [--studies 1000] [--only chinchilla kaplan ...] [--kind default] [--again]

laws: every form in LAWS, values and runs that identify it, normal noise on the log, squares of it, residual bootstrap;
parameters, what follows from them, and a prediction beyond the runs. default: the same of some laws with the options a
user gets who names none (the objective of the law's source, local bootstrap). stress: those again where the noise has
outliers, or falls with size. state: the state law at a handful of sizes; profile intervals, the band and the prediction
of the draws at twice the largest, the hold-out. Searches start at the truth, since they are judged elsewhere. A study
whose fit fails counts as not covered. Writes benchmarks/records/laws_coverage.json, a design at a time; what it holds
already is not run again without --again.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from isostate.laws import LAWS, fit_law, fit_state
from isostate.laws.consequences import prediction

RECORD = Path(__file__).parent / "records" / "laws_coverage.json"
STATE = {"L_inf": 1.5, "A": 20.0, "alpha": 0.45}
STATE_DESIGNS = {
    "5 sizes": np.geomspace(2048, 32768, 5),
    "5 sizes, 3 seeds": np.repeat(np.geomspace(2048, 32768, 5), 3),
    "8 sizes": np.geomspace(1024, 131072, 8),
}
STATE_NOISE = 0.003
REFITS = 300
AS_BENCHMARKED = {"objective": "squares-log", "resampling": "residual"}


@dataclass(frozen=True)
class Design:
    """A planted law: its values, runs, the setting beyond them that is predicted, noise, and how it is fitted."""

    law: str
    values: dict[str, float]
    inputs: dict[str, np.ndarray]
    target: dict[str, float]
    sd: float = 0.003
    noise: str = "normal"
    options: dict[str, object] = field(default_factory=lambda: AS_BENCHMARKED)


def grid(**axes):
    """Every combination of the axes, each (low, high, points) even in log, or its values."""
    columns = [np.geomspace(*axis) if isinstance(axis, tuple) else np.asarray(axis, float) for axis in axes.values()]
    return {name: column.ravel() for name, column in zip(axes, np.meshgrid(*columns, indexing="ij"), strict=True)}


def power(name, symbol, low, high):
    values = {"L_inf": 1.7, "A": 3.0 * low**0.3, "alpha": 0.3}
    return Design(name, values, grid(**{symbol: (low, high, 24)}), {symbol: 4 * high})


EPOCH = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
RUNS = grid(N=(5e7, 1e10, 8), D=(1e9, 1e12, 8))
LARGE = {"N": 3e10, "D": 3e12}
STATES = {"E": 1.2, "A": 60.0, "B": 6.0, "H": 3.0, "K": 90.0}
DESIGNS = {
    design.law: design
    for design in (
        *(power("state", "S", 1e3, 1e6), power("params", "N", 1e6, 1e10), power("tokens", "D", 1e8, 1e12)),
        *(power("compute", "C", 1e17, 1e22), power("context", "T", 128, 1e5)),
        Design(
            "state-params",
            {"E": 1.5, "A": 60.0, "B": 8.0, "alpha": 0.3, "beta": 0.4},
            grid(N=(1e6, 1e9, 6), S=(1e3, 1e6, 6)),
            {"N": 4e9, "S": 4e6},
        ),
        Design(
            "state-context",
            {"E": 1.4, "H": 3.0, "B": 6.0, "chi": 0.25, "beta": 0.5, "tau": 0.2},
            grid(S=(1e3, 1e6, 7), T=(128, 65536, 7)),
            {"S": 4e6, "T": 262144},
        ),
        Design(
            "state-all",
            {**STATES, "alpha": 0.3, "beta": 0.5, "tau": 0.2, "chi": 0.25, "delta": 0.3},
            grid(N=(1e6, 1e9, 3), S=(1e3, 1e6, 4), T=(128, 65536, 4), D=(1e8, 1e11, 3)),
            {"N": 4e9, "S": 4e6, "T": 262144, "D": 4e11},
        ),
        Design("chinchilla", EPOCH, RUNS, LARGE, sd=0.01),
        Design(
            "kaplan",
            {"N_c": 6.4e13, "D_c": 1.8e13, "a_N": 0.076, "a_D": 0.103},
            grid(N=(1e5, 1e9, 7), D=(2e7, 2e10, 7)),
            {"N": 1e10, "D": 2e11},
        ),
        Design(
            "kaplan-steps",
            {"E": 0.7, "A": 11.0, "B": 330.0, "alpha": 0.077, "sigma": 0.76},
            grid(N=(1e5, 1e9, 7), steps=(1e3, 1e6, 7)),
            {"N": 1e10, "steps": 1e7},
            sd=0.001,
        ),
        Design(
            "farseer",
            {"s": -0.7, "q": 0.17, "S": 0.1, "B": 11.0, "b": -0.1, "Q": -5.7, "A": -1.6, "a": 0.12, "E": 0.42},
            grid(N=(2e8, 6e9, 8), D=(2e9, 2e11, 8)),
            {"N": 2e10, "D": 8e11},
            sd=0.0005,
        ),
        Design("frontier", {"k": 0.118926, "a": 0.496895}, grid(C=(1e16, 2e19, 24)), {"C": 1e21}, sd=0.05),
        Design(
            "repetition",
            {"R_N": 5.3097, "R_D": 15.3878},
            grid(N=(1e8, 1e10, 5), D=(1e9, 1e12, 5), U=[3e8, 1e9]),
            {"N": 4e10, "D": 4e12, "U": 1e9},
        ),
        Design(
            "overtraining",
            {"E": 1.84, "a": 212.0, "b": 367.0, "eta": 0.136},
            grid(C=(1e17, 1e21, 6), M=(5, 640, 6)),
            {"C": 1e23, "M": 640},
        ),
        Design("downstream", {"eps": 0.857, "k": 2.21, "gamma": 0.715}, {"L": np.linspace(2.0, 5.0, 24)}, {"L": 1.7}),
        Design(
            "routed",
            {"a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104, "E_s": 1.847, "E_m": 314.5},
            grid(N=(1.5e7, 1.3e9, 7), E=[1, 2, 4, 8, 32, 128, 512]),
            {"N": 5e9, "E": 512},
            sd=0.001,
        ),
        Design(
            "fine-grained",
            {"c": 0.47, "g": 2.1, "a": 18.1, "b": 30.8, "gamma": 0.58, "alpha": 0.115, "beta": 0.147},
            grid(N=(1e8, 1e11, 5), D=(1e9, 1e12, 5), G=[1, 2, 4, 8, 16]),
            {"N": 4e11, "D": 4e12, "G": 16},
            sd=0.001,
        ),
        Design(
            "precision",
            {"E": 2.7648, "A": 4299.0, "B": 18060.0, "alpha": 0.4965, "beta": 0.4965, "gamma": 2.6745},
            grid(N=(3e7, 2e9, 5), D=(1e9, 3e11, 5), P=[3, 4, 6, 8, 12]),
            {"N": 8e9, "D": 1e12, "P": 4},
        ),
        Design("critical-batch", {"S_min": 2e3, "E_min": 4e6}, grid(B=(32, 65536, 24)), {"B": 262144}, sd=0.02),
        Design(
            "noise-scale", {"B_star": 2.1e8, "alpha_B": 0.21}, {"L": np.linspace(2.0, 6.0, 24)}, {"L": 1.7}, sd=0.02
        ),
        Design(
            "step-law-lr",
            {"k": 1.79, "a": -0.713, "b": 0.307},
            grid(N=(6e7, 1e9, 5), D=(2e9, 1e11, 5)),
            {"N": 4e9, "D": 4e11},
            sd=0.05,
        ),
        Design("step-law-batch", {"k": 0.58, "b": 0.571}, grid(D=(2e9, 1e11, 24)), {"D": 4e11}, sd=0.05),
    )
}
DEFAULT = {
    "chinchilla, 36 runs": replace(DESIGNS["chinchilla"], inputs=grid(N=(5e7, 1e10, 6), D=(1e9, 1e12, 6))),
    "chinchilla, 240 runs": replace(DESIGNS["chinchilla"], inputs=grid(N=(5e7, 1e10, 15), D=(1e9, 1e12, 16))),
    "params": DESIGNS["params"],
    "state-params": DESIGNS["state-params"],
    "routed": DESIGNS["routed"],
}
DEFAULT = {name: replace(design, options={}) for name, design in DEFAULT.items()}
STRESS = {
    "state-params, outliers": replace(DEFAULT["state-params"], noise="outliers"),
    "state-params, noise falls": replace(DEFAULT["state-params"], noise="falls"),
}


def inside(interval, truth):
    return interval.low is not None and interval.high is not None and interval.low <= truth <= interval.high


def drawn(design, rng):
    """Noise in units of the design's sd, one a run."""
    log_size = np.sum([np.log(column) for column in design.inputs.values()], axis=0)
    sd = np.ones_like(log_size)
    if design.noise == "outliers":
        sd = np.where(rng.random(len(sd)) < 0.05, 8.0, 1.0)
    if design.noise == "falls":
        sd = np.exp(-0.6 * (log_size - log_size.mean()) / log_size.std())
    return sd * rng.normal(size=len(sd))


def law_study(design, seed):
    """Which intervals of one study covered."""
    law = LAWS[design.law]
    y = law.predict(design.values, design.inputs) * np.exp(design.sd * drawn(design, np.random.default_rng(seed)))
    starts = np.array([[design.values[name] for name in law.names]])
    fit = fit_law(
        law, design.inputs, y, bootstrap=REFITS, profile_points=0, holdout=None, seed=seed, starts=starts,
        **design.options,
    )  # fmt: skip
    if not fit.params:
        return None
    hits = {name: inside(fit.params[name], value) for name, value in design.values.items()}
    hits |= {name: inside(fit.derived[name], float(rule(design.values))) for name, rule in law.derived.items()}
    target = {symbol: np.array([value]) for symbol, value in design.target.items()}
    hits["prediction beyond"] = inside(prediction(fit, **design.target), float(law.predict(design.values, target)[0]))
    return hits


def state_study(sizes, seed):
    """Which intervals of one study of the state law covered; None where the fit failed."""
    exact = LAWS["state"].predict(STATE, {"S": sizes})
    y = exact + STATE_NOISE * np.random.default_rng(seed).normal(size=len(sizes))
    fit = fit_state(sizes, y, bootstrap=REFITS, seed=seed)
    if not fit.params:
        return None
    at_end = LAWS["state"].predict(STATE, {"S": np.array(fit.curve.x[-1:])})[0]
    hits = {name: inside(fit.params[name], truth) for name, truth in STATE.items()}
    hits["prediction at twice the largest"] = fit.curve.low[-1] <= at_end <= fit.curve.high[-1]
    hits["prediction from the draws"] = inside(prediction(fit, S=fit.curve.x[-1]), at_end)
    if fit.holdout is not None:
        hits["hold-out"] = fit.holdout.covered
    return hits


def coverage(study, studies, processes):
    """The share of studies in which each interval covered."""
    began = time.perf_counter()
    with ProcessPoolExecutor(processes) as pool:
        outcomes = list(pool.map(study, range(studies), chunksize=20))
    made = [outcome for outcome in outcomes if outcome is not None]
    names = list(dict.fromkeys(name for outcome in made for name in outcome))
    shares = {}
    for name in names:
        # a hold-out that could not be made is no interval; a fit that failed is one that did not cover
        of = [outcome[name] for outcome in made if name in outcome]
        shares[name] = round(float(sum(of)) / (len(of) + len(outcomes) - len(made)), 4)
    seconds = round(time.perf_counter() - began)
    return {"studies": studies, "failed": len(outcomes) - len(made), "seconds": seconds, "covered": shares}


def main():
    every = {
        "default": {name: (design.sd, partial(law_study, design)) for name, design in DEFAULT.items()},
        "stress": {name: (design.sd, partial(law_study, design)) for name, design in STRESS.items()},
        "state": {name: (STATE_NOISE, partial(state_study, sizes)) for name, sizes in STATE_DESIGNS.items()},
        "laws": {name: (design.sd, partial(law_study, design)) for name, design in DESIGNS.items()},
    }
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--only", nargs="+", metavar="DESIGN", help="these alone; the record keeps the others")
    parser.add_argument("--kind", choices=every, help="designs of this kind alone")
    parser.add_argument("--again", action="store_true", help="also what the record holds")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    assert set(DESIGNS) == set(LAWS), "every law has a design"
    RECORD.parent.mkdir(exist_ok=True)
    for kind, studies in every.items():
        for name, (sd, study) in studies.items():
            record = json.loads(RECORD.read_text()) if RECORD.exists() else {"level": 0.95}
            wanted = given.kind in (None, kind) and (given.only is None or name in given.only)
            if not wanted or (name in record.get(kind, {}) and not given.again):
                continue
            found = {"noise": sd, **coverage(study, given.studies, given.processes)}
            print(kind, name, json.dumps(found), flush=True)
            record[kind] = {**record.get(kind, {}), name: found}
            RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
