"""Do 95 % intervals cover 95 %? A thousand synthetic studies of each design, each fitted as a user's would be.

    python benchmarks/laws_coverage.py [--studies 1000]

State law: five sizes, five sizes with three seeds, eight sizes; normal noise; profile intervals, the band at twice the
largest size, the hold-out. Chinchilla: 64 runs, 1 % noise, residual bootstrap; parameters, the allocation exponent, the
loss at ten times the compute. Studies whose fit fails count as not covered. Writes
benchmarks/records/laws_coverage.json.
"""

from __future__ import annotations

import argparse
import json
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from isostate.laws import LAWS, fit_law, fit_state

RECORD = Path(__file__).parent / "records" / "laws_coverage.json"
STATE = {"L_inf": 1.5, "A": 20.0, "alpha": 0.45}
STATE_DESIGNS = {
    "5 sizes": np.geomspace(2048, 32768, 5),
    "5 sizes, 3 seeds": np.repeat(np.geomspace(2048, 32768, 5), 3),
    "8 sizes": np.geomspace(1024, 131072, 8),
}
STATE_NOISE = 0.003
SURFACE = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
SURFACE_NOISE = 0.01
TARGET = {"N": np.array([3e10]), "D": np.array([3e12])}


def inside(interval, truth):
    return interval.low <= truth <= interval.high


def state_study(sizes, seed):
    """Which intervals of one study of the state law covered; None where the fit failed."""
    exact = LAWS["state"].predict(STATE, {"S": sizes})
    y = exact + STATE_NOISE * np.random.default_rng(seed).normal(size=len(sizes))
    fit = fit_state(sizes, y, bootstrap=0)
    if not fit.params:
        return None
    at_end = LAWS["state"].predict(STATE, {"S": np.array(fit.curve.x[-1:])})[0]
    hits = {name: inside(fit.params[name], truth) for name, truth in STATE.items()}
    hits["prediction at twice the largest"] = fit.curve.low[-1] <= at_end <= fit.curve.high[-1]
    if fit.holdout is not None:
        hits["hold-out"] = fit.holdout.covered
    return hits


def surface_design():
    N, D = np.meshgrid(np.geomspace(5e7, 1e10, 8), np.geomspace(1e9, 1e12, 8))
    return {"N": N.ravel(), "D": D.ravel()}


def surface_study(seed, bootstrap=600):
    """The same for the Chinchilla surface."""
    law, x = LAWS["chinchilla"], surface_design()
    y = law.predict(SURFACE, x) * np.exp(SURFACE_NOISE * np.random.default_rng(seed).normal(size=64))
    truth = np.array([list(SURFACE.values())])
    fit = fit_law(
        law, x, y, objective="squares-log", resampling="residual", bootstrap=bootstrap, holdout=None, seed=seed,
        starts=np.concatenate([truth, truth * np.array([[1.2, 3.0, 0.4, 1.2, 0.8]])]), threads=1,
    )  # fmt: skip
    hits = {name: inside(fit.params[name], value) for name, value in SURFACE.items()}
    hits["a"] = inside(fit.derived["a"], SURFACE["beta"] / (SURFACE["alpha"] + SURFACE["beta"]))
    low, high = np.quantile(law.predict_batch(fit.draws, TARGET)[:, 0], [fit.tail, 1 - fit.tail])
    hits["prediction at ten times the compute"] = low <= law.predict(SURFACE, TARGET)[0] <= high
    return hits


def coverage(study, studies, processes=2):
    """The share of studies in which each interval covered."""
    with ProcessPoolExecutor(processes) as pool:
        outcomes = list(pool.map(study, range(studies), chunksize=10))
    made = [outcome for outcome in outcomes if outcome is not None]
    names = list(dict.fromkeys(name for outcome in made for name in outcome))
    shares = {}
    for name in names:
        # a hold-out that could not be made is no interval; a fit that failed is one that did not cover
        of = [outcome[name] for outcome in made if name in outcome]
        shares[name] = round(float(sum(of)) / (len(of) + len(outcomes) - len(made)), 4)
    return {"studies": studies, "failed": len(outcomes) - len(made), "covered": shares}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    studies = parser.parse_args().studies
    record = {"level": 0.95, "state": {}, "chinchilla": coverage(surface_study, studies)}
    for name, sizes in STATE_DESIGNS.items():
        record["state"][name] = coverage(partial(state_study, sizes), studies)
        print(name, record["state"][name])
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
