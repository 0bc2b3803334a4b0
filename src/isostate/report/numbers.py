"""Every number that an article tells of a study, from its records alone: what was run, noise, laws, hold-outs, orders.

Losses are nats a token at the longest evaluated context unless another is said; `state` is elements a sequence. What
the questions of the reference study ask beyond this stands in questions.py, what is told of single settings in
setting_numbers.py.
"""

from __future__ import annotations

from typing import Any

from isostate.report import claims, law_words
from isostate.report import rows as runs
from isostate.report.fits import of_state
from isostate.report.joint_fits import CLAIMED, exponent, exponent_verdict, trained
from isostate.report.note.pairs import pairs
from isostate.report.rows import Row
from isostate.report.setting_numbers import by_rate, effects, noise_by, seed_noise, settings

Numbers = dict[str, Any]


def of_study(table: list[Row], entries: list[dict[str, Any]]) -> Numbers:
    """`table`: records.table or table_of; `entries`: fits.fit_laws of it."""
    finished = runs.drawn(table)
    noise = seed_noise(finished)
    hours = {
        row["run_id"]: row["train_s"] * row["config"]["train"]["threads"] / 3600 for row in table if row["train_s"]
    }
    return {
        "runs": {status: sum(row["status"] == status for row in table) for status in sorted(_statuses(table))},
        "diverged": [_named(row) | {"reason": row.get("reason")} for row in table if row["status"] == "diverged"],
        "core_hours": sum(hours.values()),
        "core_hours_by_run": hours,
        "parameters": _parameters(finished),
        "heldout_tokens": _heldout_tokens(finished),
        "rates": {family: sorted({r["lr"] for r in finished if r["family"] == family}) for family in _families(table)},
        "seed_noise": noise,
        "noise_by_family": noise_by(finished, "family"),
        "noise_by_rate": noise_by(finished, "lr"),
        "by_rate": by_rate(table),
        "effects": effects(finished, noise),
        "settings": settings(finished),
        "equal_state": pairs(finished),
        "laws": [law(entry, seed_noise(finished, entry["group"]["eval_context"])) for entry in of_state(entries)],
        "joint": [joint(entry) for entry in entries if entry["law"] in CLAIMED],
    }


def law(entry: dict[str, Any], noise: Numbers) -> Numbers:
    """A law in the state: parameters with intervals, what state could still gain, its hold-out against the noise."""
    held = entry["holdout"]
    told: Numbers = {
        "group": entry["group"],
        "params": entry["params"],
        "bound_hits": entry["bound_hits"],
        "words": {name: " ".join(law_words.parameter(entry, name)).strip() for name in ("L_inf", "A", "alpha")},
        "resampled": law_words.resampled(entry),
        "alarms": entry["alarms"],
        "warnings": law_words.warnings(entry),
        "holdout": None,
    }
    if law_words.has_exponent(entry):
        value = {name: interval["value"] for name, interval in entry["params"].items()}
        largest = max(point["x"] for point in entry["points"])
        smallest = min(point["x"] for point in entry["points"])
        if law_words.has_floor(entry):
            told["left_nats"] = value["A"] * largest ** -value["alpha"]
        told["fallen_nats"] = value["A"] * (smallest ** -value["alpha"] - largest ** -value["alpha"])
    if held:
        miss = abs(held["predicted"] - held["observed"])
        told["holdout"] = {
            **{name: held[name] for name in ("x", "observed", "predicted", "low", "high", "error")},
            "covered": held["low"] <= held["observed"] <= held["high"],
            "miss_in_noise": miss / noise["sd"] if noise["sd"] else None,
        }
    return told


def joint(entry: dict[str, Any]) -> Numbers:
    """A joint law, the exponent of its S*, and the note's claims held against both."""
    told = {
        "law": entry["law"],
        "group": entry["group"],
        "params": entry["params"],
        "exponent": exponent(entry),
        "claimed_exponent": CLAIMED[entry["law"]],
        "verdict": exponent_verdict(entry),
        "states": entry["states"],
        "best": entry["best"],
        "alarms": entry["alarms"],
    }
    if entry["law"] == "state-params":
        told["of_the_order_of_parameters"] = [claims.of_order(point, point["x"]) for point in trained(entry)]
    return told


def _parameters(finished: list[Row]) -> dict[str, Numbers]:
    """By size: the smallest and largest count outside the embedding, how far these are apart, and the most tokens that
    a run was trained on."""
    told = {}
    for size in runs.sizes(finished):
        mine = [row for row in finished if runs.size(row) == size]
        counts = [row["n_params"]["non_embedding"] for row in mine]
        tokens = max(row["n_tokens"] for row in mine)
        told[runs.size_name(size)] = {
            "least": min(counts),
            "most": max(counts),
            "spread": max(counts) / min(counts) - 1,
            "tokens": tokens,
            "tokens_a_parameter": tokens / max(counts),
        }
    return told


def _heldout_tokens(finished: list[Row]) -> int | None:
    """Over how many tokens the losses at the longest evaluated context are."""
    longest = str(max(runs.eval_contexts(finished), default=0))
    return next((row["final"][longest]["n_tokens"] for row in finished if longest in row["final"]), None)


def _statuses(table: list[Row]) -> set[str]:
    return {row["status"] for row in table}


def _families(table: list[Row]) -> list[str]:
    return runs.families(row for row in table if "family" in row)


def _named(row: Row) -> Numbers:
    return {"run": row["run_id"], "family": row["family"], "state": runs.state(row), "seed": row["seed"]}
