"""How fast the batched fits are: 4,500 starts, 4,000 bootstraps of 240 cases, against scipy start by start.

    python benchmarks/laws_speed.py [--points epoch.csv] [--scipy-starts 300]

Without the public table the points are a planted Chinchilla surface with the same noise. Both sides minimise the same
objective with the same analytic gradient on one thread; scipy's loop (BFGS, gtol 1e-9) is timed on a sample of the
starts, also with the differenced gradients of the published code. Ratios are of processor seconds, which other work on
the machine hardly enters, and of wall seconds. Writes benchmarks/records/laws_speed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import time
from pathlib import Path

import numpy as np
from scipy.optimize import minimize

from isostate.laws import LAWS, OBJECTIVES, Options
from isostate.laws.registry import EPOCH_TABLE
from isostate.laws.resample import bootstrap
from isostate.laws.search import SAME_OPTIMUM, search
from isostate.laws.table_file import read_table

RECORD = Path(__file__).parent / "records" / "laws_speed.json"
LAW, OBJECTIVE = LAWS["chinchilla"], OBJECTIVES["huber"]


def points(path):
    if path is not None:
        return EPOCH_TABLE.columns(read_table(path))
    rng = np.random.default_rng(0)
    N = np.exp(rng.uniform(np.log(5e7), np.log(1.6e10), 240))
    D = np.exp(rng.uniform(np.log(3e8), np.log(3e11), 240))
    values = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}
    return {"N": N, "D": D}, LAW.predict(values, {"N": N, "D": D}) * np.exp(0.01 * rng.normal(size=240))


def timed(function):
    wall, cpu = time.perf_counter(), time.process_time()
    result = function()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def by_scipy(x, y, starts, analytic):
    """Each start through scipy's BFGS: the values reached."""
    log_N, log_D, log_y = np.log(x["N"]), np.log(x["D"]), np.log(y)

    def function(theta):
        e, a, b, alpha, beta = theta
        terms = np.stack([a - alpha * log_N, b - beta * log_D, np.full_like(log_N, e)])
        top = terms.max(axis=0)
        weights = np.exp(terms - top)
        total = weights.sum(axis=0)
        r = top + np.log(total) - log_y
        slope = np.clip(r / 1e-3, -1.0, 1.0)
        value = np.sum(slope * (r - 0.5e-3 * slope))
        if not analytic:
            return value
        psi = slope * weights / total
        by = psi.sum(axis=1)
        return value, np.array([by[2], by[0], by[1], -(psi[0] @ log_N), -(psi[1] @ log_D)])

    options = {"gtol": 1e-9, "maxiter": 1000}
    with np.errstate(all="ignore"):
        return np.array([minimize(function, t, jac=analytic, method="BFGS", options=options).fun for t in starts])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=Path)
    parser.add_argument("--scipy-starts", type=int, default=300)
    given = parser.parse_args()
    x, y = points(given.points)
    starts = LAW.start_grid()
    found, search_s, search_cpu = timed(lambda: search(LAW, x, y, OBJECTIVE, Options(starts="grid")))
    boots, boots_cpu = {}, {}
    for count in (1000, 2000, 4000):
        _, boots[count], boots_cpu[count] = timed(
            lambda n=count: bootstrap(LAW, x, y, found.theta, OBJECTIVE, Options(bootstrap=n, resampling="case"))
        )
    _, local_s, local_cpu_s = timed(lambda: bootstrap(LAW, x, y, found.theta, OBJECTIVE, Options(bootstrap=4000)))
    sample = starts[np.linspace(0, len(starts) - 1, given.scipy_starts).astype(int)]
    scipy_values, scipy_wall, scipy_s = timed(lambda: by_scipy(x, y, sample, analytic=True))
    differenced = sample[:: max(1, len(sample) // 60)]
    _, _, differenced_s = timed(lambda: by_scipy(x, y, differenced, analytic=False))
    record = {
        "points": "epoch-chinchilla" if given.points else "planted",
        "n_points": len(y),
        "starts": len(starts),
        "search_s": round(search_s, 2),
        "search_cpu_s": round(search_cpu, 2),
        "bootstrap_s": {str(count): round(seconds, 2) for count, seconds in boots.items()},
        "bootstrap_cpu_s": {str(count): round(seconds, 2) for count, seconds in boots_cpu.items()},
        "local_4000_bootstraps_s": round(local_s, 2),
        "local_4000_bootstraps_cpu_s": round(local_cpu_s, 2),
        "search_and_4000_bootstraps_s": round(search_s + boots[4000], 2),
        "search_and_4000_bootstraps_cpu_s": round(search_cpu + boots_cpu[4000], 2),
        "objective": found.value,
        "share_of_starts_at_optimum": found.at_optimum / found.starts,
        "scipy_objective": float(scipy_values.min()) * OBJECTIVE.scale,
        "scipy_share_of_starts_at_optimum": float(np.mean(scipy_values <= scipy_values.min() * (1 + SAME_OPTIMUM))),
        "scipy_cpu_s_per_start": round(scipy_s / len(sample), 5),
        "scipy_differenced_cpu_s_per_start": round(differenced_s / len(differenced), 5),
        "batched_cpu_s_per_start": round(search_cpu / len(starts), 6),
        "times_scipy_wall": round(scipy_wall / len(sample) / (search_s / len(starts)), 1),
        "times_scipy": round(scipy_s / len(sample) / (search_cpu / len(starts)), 1),
        "times_scipy_differenced": round(differenced_s / len(differenced) / (search_cpu / len(starts)), 1),
        "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "cpus": os.cpu_count(),
        "machine": platform.processor() or platform.machine(),
        "load_1min": round(os.getloadavg()[0], 1),
        "numpy": np.__version__,
    }
    RECORD.parent.mkdir(exist_ok=True)
    RECORD.write_text(json.dumps(record, indent=1) + "\n")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
