"""Made-up studies in the shape of records.table: loss falls as a power law of state, with seeds, gaps and accidents."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path
from typing import Any

import numpy as np

from isostate.config import digest
from isostate.records import RunDirectory, durable

FAMILIES = {  # L_inf at infinite context, A, alpha
    "power-2": (2.30, 16.0, 0.42),
    "taylor-2": (2.34, 13.0, 0.38),
    "linear": (2.52, 9.0, 0.33),
    "window": (2.36, 26.0, 0.44),
    "softmax": (2.33, 24.0, 0.43),
}
SIZES = ((2, 64, 131_072), (4, 128, 1_050_624))
STATES = (2_048, 4_096, 8_192, 16_384, 32_768, 65_536)
HOSTILE = {
    "script": "</script><script>window.hacked = 1</script>",
    "image": '<img src=x onerror="window.hacked = 1">',
    "quotes": "\"'`>&amp;${1}$name",
    "bidi": "abc\u202edef\u2066\u2028",
    "link": '<a href="javascript:window.hacked=1">%{x}</a>',
}
STUDY = {
    "name": "state-scaling",
    "question": "Which architecture turns state into loss best, at equal parameters and equal updates?",
    "fit": [{"law": "state"}],
}
ENVIRONMENT = {
    "isostate": "0.1.0", "torch": "2.13.0+cpu", "numpy": "2.4.6", "python": "3.11.7", "platform": "Linux-6.1-x86_64",
    "cpu": "Made-up CPU @ 2.40GHz", "threads": 1, "started": "2026-01-01T12:00:00+00:00",
}  # fmt: skip


def expected_loss(family: str, params: int, state: int, trained: int, evaluated: int) -> float:
    floor, scale, exponent = FAMILIES.get(family, FAMILIES["window"])
    short = 0.06 * max(0.0, math.log2(evaluated / trained)) if evaluated > trained else 0.0
    return floor + scale * state**-exponent * (trained / 256) ** 0.08 - 0.12 * math.log10(params / 131_072) + short


def run(family="power-2", size=SIZES[0], state=8_192, context=256, seed=0, evals=(256, 1024), **changes: Any) -> dict:
    """One finished run's row."""
    n_layers, d_model, params = size
    steps, batch_tokens = 1_000, 1_024
    config = {"family": family, "size": list(size), "state": state, "context": context, "seed": seed,
              "data": {"fingerprint": hashlib.sha256(b"bard").hexdigest()}}  # fmt: skip
    noise = np.random.Generator(np.random.Philox(int(digest(config), 16))).normal(0.0, 0.006)
    final = {}
    for evaluated in evals:
        loss = expected_loss(family, params, state, context, evaluated) + float(noise)
        edges = [0, *(2**k for k in range(int(math.log2(evaluated)) + 1))]
        reach = state / 256
        drops = [1.9 * math.exp(-0.55 * math.log2(1 + min(hi, reach))) for hi in edges[1:]]
        drift = [0.05 * max(0.0, math.log2(hi / context)) for hi in edges[1:]]
        losses = [loss - 0.12 + drop + up for drop, up in zip(drops, drift, strict=True)]
        final[str(evaluated)] = {
            "loss_nats": loss, "bits_per_byte": loss / math.log(2) / 2.1, "n_tokens": 65_536,
            "by_position": {"edges": edges, "loss_nats": losses},
        }  # fmt: skip
    speed = 0.02 * (params / 131_072) ** 0.6 * (1 + state / 40_000)
    curve = []
    for step in range(50, steps + 1, 50):
        gap = 2.4 * (step / 50) ** -0.75
        at = (
            {key: entry["loss_nats"] + gap - 2.4 * 20**-0.75 for key, entry in final.items()} if step % 100 == 0 else {}
        )
        train = final[str(evals[0])]["loss_nats"] + gap - 0.3
        curve.append({"step": step, "train_s": round(step * speed, 3), "train_loss_nats": train, "eval": at})
    run_id = digest(config)
    return {
        "format": 1, "run_id": run_id, "run_dir": f"runs/{run_id}", "config": config, "status": "done", "reason": None,
        "family": family, "mixer": {"kind": family.split("-")[0]}, "n_layers": n_layers, "d_model": d_model,
        "n_params": {"total": params, "embedding": 65_536, "non_embedding": params - 65_536},
        "state": {"elements": state, "bytes": 4 * state, "parts": {"matrix": state - 128, "convolution": 128}},
        "train_context": context, "seed": seed, "lr": 0.003, "steps": steps, "batch_tokens": batch_tokens,
        "n_tokens": steps * batch_tokens, "train_flops": 6 * params * steps * batch_tokens, "corpus": "bard",
        "tokenizer": "bpe-1024", "final": final, "environment": dict(ENVIRONMENT), "train_s": steps * speed,
        "curve": curve, **changes,
    }  # fmt: skip


def unfinished(status: str, steps: int, **where: Any) -> dict:
    """A run that began and is not done: no final losses, a curve that stops."""
    row = run(**where)
    for key in ("final", "reason", "n_tokens"):
        del row[key]
    curve = [point for point in row["curve"] if point["step"] <= steps]
    return {**row, "status": status, "curve": curve, "train_s": curve[-1]["train_s"] if curve else None}


def diverged(**where: Any) -> dict:
    row = unfinished("diverged", 300, **where)
    return {**row, "final": {}, "reason": "non-finite gradient norm at step 312", "n_tokens": 312 * 1_024}


def pending(run_id: str = "00000000000000aa") -> dict:
    """A run of which nothing is known but its config."""
    return {"run_id": run_id, "status": "pending", "run_dir": f"runs/{run_id}", "config": {}, "environment": None,
            "train_s": None, "curve": []}  # fmt: skip


def full() -> list[dict]:
    """Five families, two sizes, three contexts, two seeds in places, gaps, a diverged, a running and a pending run."""
    rows = []
    for size in SIZES:
        for context in (64, 256, 1024) if size == SIZES[0] else (256,):
            for family in FAMILIES:
                kept = STATES[:4] if family == "linear" else STATES
                for state in kept:
                    if context == 1024 and state == STATES[0] and family == "window":
                        continue  # a gap
                    seeds = (0, 1, 2) if context == 256 and size == SIZES[0] else (0,)
                    rows += [run(family, size, state, context, seed) for seed in seeds]
    rows[3] = diverged(family="power-2", state=STATES[1], context=64)
    rows.append(unfinished("running", 450, family="linear", state=STATES[4], context=256))
    rows.append(pending())
    return sorted({row["run_id"]: row for row in rows}.values(), key=lambda row: row["run_id"])


def small() -> list[dict]:
    """Four families, four states, one of everything else: what a quickstart leaves."""
    families = ("power-2", "taylor-2", "linear", "window")
    rows = [run(family, state=state) for family in families for state in STATES[:5]]
    return sorted(rows, key=lambda row: row["run_id"])


def seeded(families: tuple[str, ...] = ("power-2", "window")) -> list[dict[str, Any]]:
    """Every state of the families with three seeds, at one size."""
    return [run(family, state=state, seed=seed) for family in families for state in STATES for seed in (0, 1, 2)]


def hostile() -> tuple[dict[str, Any], list[dict]]:
    """A study whose every name attacks the page."""
    names = list(HOSTILE.values())
    rows = [run(name, state=state) for name in names for state in STATES[:4]]
    for i, row in enumerate(rows):
        row["corpus"], row["tokenizer"] = names[0], names[1]
        row["state"]["parts"] = {names[i % len(names)]: row["state"]["elements"] - 1, names[3]: 1}
        row["environment"] = {**ENVIRONMENT, "cpu": names[i % len(names)]}
    bad = diverged(family=names[0], state=STATES[5])
    rows.append({**bad, "reason": names[1], "corpus": names[0], "tokenizer": names[1]})
    study = {**STUDY, "name": " ".join(names), "question": " ".join(names)}
    return study, sorted(rows, key=lambda row: row["run_id"])


def write(study_dir: Path, study: dict, rows: list[dict]) -> None:
    """The rows as run directories, by the records' own writers."""
    study_dir.mkdir(parents=True)
    durable.write_atomic(study_dir / "study.json", durable.json_bytes(study))
    for row in rows:
        if row["status"] == "pending":
            continue
        config = row["config"]
        directory = RunDirectory(study_dir / digest(config)).create(config)
        directory.write_environment(row["environment"])
        for point in row["curve"]:
            directory.append_metric({"kind": "train", "step": point["step"], "loss_nats": point["train_loss_nats"],
                                     "grad_norm": 1.0, "lr": 0.003})  # fmt: skip
            for context, loss in point["eval"].items():
                directory.append_metric({"kind": "eval", "step": point["step"], "context": int(context),
                                         "loss_nats": loss, "bits_per_byte": loss, "n_tokens": 1})  # fmt: skip
            directory.append_timing(point["step"], point["train_s"])
        beside = ("run_id", "run_dir", "config", "environment", "train_s", "curve", "format")
        facts = {key: value for key, value in row.items() if key not in beside}
        if "final" in row:
            directory.write_result({"run_id": row["run_id"], **facts})
        else:
            directory.write_facts({key: value for key, value in facts.items() if key != "status"})
