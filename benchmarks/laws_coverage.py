"""Do 95 % intervals cover 95 %? A thousand synthetic studies of every law, each fitted as a user's would be.

    python benchmarks/laws_coverage.py [--studies 1000] [--only chinchilla,kaplan]

The state law at a handful of sizes: profile intervals, the band at twice the largest size, the hold-out. Every law of
LAWS on its planted design (tests/laws/planted.py), the log of its loss known to NOISE: residual bootstrap; parameters,
what follows from them, the prediction at three times every input. Refits start at the truth, since searches are judged
elsewhere. Studies whose fit fails count as not covered. Writes benchmarks/records/laws_coverage.json, law by law.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np

from isostate.laws import LAWS, fit_law, fit_state

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from tests.laws.planted import PLANTED

RECORD = Path(__file__).parent / "records" / "laws_coverage.json"
STATE = {"L_inf": 1.5, "A": 20.0, "alpha": 0.45}
STATE_DESIGNS = {
    "5 sizes": np.geomspace(2048, 32768, 5),
    "5 sizes, 3 seeds": np.repeat(np.geomspace(2048, 32768, 5), 3),
    "8 sizes": np.geomspace(1024, 131072, 8),
}
STATE_NOISE = 0.003
# Of the log of the loss. Laws of many exponents, whose parameters trade against each other, need it smaller: beyond it
# their intervals are curved, and no symmetric method covers.
NOISE = dict.fromkeys(LAWS, 1e-3) | {
    "chinchilla": 1e-2,
    "farseer": 1e-5,
    "state-all": 1e-4,
    "frontier": 1e-2,
    "fine-grained": 1e-4,
}
REFITS = 500
LEAST_POINTS = 24  # designs are repeated, as with seeds, until they have as many


def inside(interval, truth):
    return interval.low is not None and interval.low <= truth <= interval.high


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


def law_study(name, seed):
    """The same for a law on its planted design."""
    law, case = LAWS[name], PLANTED[name]
    n = len(next(iter(case.inputs.values())))
    x = {symbol: np.tile(column, max(1, -(-LEAST_POINTS // n))) for symbol, column in case.inputs.items()}
    exact = law.predict(case.values, x)
    y = exact * np.exp(NOISE[name] * np.random.default_rng(seed).normal(size=len(exact)))
    truth = np.array([[case.values[key] for key in law.names]])
    fit = fit_law(
        law, x, y, objective="squares-log", resampling="residual", bootstrap=REFITS, holdout=None, seed=seed,
        starts=truth, threads=1, profile_points=0,
    )  # fmt: skip
    if not fit.params:
        return None
    hits = {key: inside(fit.params[key], value) for key, value in case.values.items()}
    hits |= {key: inside(fit.derived[key], float(rule(case.values))) for key, rule in law.derived.items()}
    beyond = {symbol: 3.0 * column.max(keepdims=True) for symbol, column in x.items()}
    low, high = np.quantile(law.predict_batch(fit.draws, beyond)[:, 0], [fit.tail, 1 - fit.tail])
    hits["prediction beyond"] = bool(low <= law.predict(case.values, beyond)[0] <= high)
    return hits


def coverage(study, studies, processes=2):
    """The share of studies in which each interval covered."""
    began = time.perf_counter()
    with ProcessPoolExecutor(processes) as pool:
        outcomes = list(pool.map(study, range(studies), chunksize=10))
    made = [outcome for outcome in outcomes if outcome is not None]
    names = list(dict.fromkeys(name for outcome in made for name in outcome))
    shares = {}
    for name in names:
        # a hold-out that could not be made is no interval; a fit that failed is one that did not cover
        of = [outcome[name] for outcome in made if name in outcome]
        shares[name] = round(float(sum(of)) / (len(of) + len(outcomes) - len(made)), 4)
    took = round(time.perf_counter() - began, 1)
    return {"studies": studies, "failed": len(outcomes) - len(made), "seconds": took, "covered": shares}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--only", help="laws to run again, comma-separated; the record keeps the others")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    record = json.loads(RECORD.read_text()) if given.only else {"level": 0.95, "state": {}, "laws": {}}
    if not given.only:
        for name, sizes in STATE_DESIGNS.items():
            record["state"][name] = coverage(partial(state_study, sizes), given.studies)
            print(name, record["state"][name], flush=True)
    for name in given.only.split(",") if given.only else LAWS:
        record["laws"][name] = {"noise": NOISE[name], **coverage(partial(law_study, name), given.studies)}
        print(name, record["laws"][name], flush=True)
        RECORD.parent.mkdir(exist_ok=True)
        RECORD.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
