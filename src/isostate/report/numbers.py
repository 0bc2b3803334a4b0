"""Every number that an article tells of a study, from its records alone: what was run, noise, laws, hold-outs, orders.

Losses are nats a token at the longest evaluated context unless another is said; `state` is elements a sequence. What
the questions of the reference study ask beyond this stands in questions.py.
"""

from __future__ import annotations

from statistics import fmean, stdev
from typing import Any

from isostate.report import claims, law_words, seeds
from isostate.report import rows as runs
from isostate.report.best_state import CLAIMED
from isostate.report.fits import of_state
from isostate.report.note.pairs import pairs
from isostate.report.rows import Row

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
        "rates": {family: sorted({r["lr"] for r in finished if r["family"] == family}) for family in _families(table)},
        "seed_noise": noise,
        "effects": effects(finished, noise),
        "settings": settings(finished),
        "equal_state": pairs(finished),
        "laws": [law(entry, seed_noise(finished, entry["group"]["eval_context"])) for entry in of_state(entries)],
        "joint": [joint(entry) for entry in entries if entry["law"] in CLAIMED],
    }


def seed_noise(finished: list[Row], context: int | None = None) -> Numbers:
    """Pooled standard deviation of one run about the mean of its setting, over settings with several seeds."""
    noise = seeds.pooled(_settings(finished, context).values())
    return {"sd": noise.sd, "dof": noise.dof}


def effects(finished: list[Row], noise: Numbers) -> list[Numbers]:
    """For each family, size, context and condition: the mean at every state, what is gained from the smallest state to
    the largest, and what of it is lost again from the best to the largest; in nats with an interval, and in noise."""
    longest = max(runs.eval_contexts(finished), default=0)
    means = seeds.means(
        runs.evaluated_at(finished, longest), runs.cell, lambda row: runs.final_loss(row, longest), _known(noise)
    )
    every = runs.conditions(finished)
    told = []
    for place in sorted({setting[:-1] for setting in means.values}, key=str):
        family, size, context, condition = place
        at = {state: means.values[*place, state] for *where, state in sorted(means.values) if tuple(where) == place}
        smallest, largest = min(at), max(at)
        best = min(at, key=lambda state: (at[state], state))
        told.append(
            {
                "family": family,
                "size": runs.size_name(size),
                "train_context": context,
                "condition": runs.condition_label(condition, every),
                "means": {str(state): mean for state, mean in at.items()},
                "best_state": best,
                **_difference("fall", means, (*place, smallest), (*place, largest)),
                **_difference("rise", means, (*place, largest), (*place, best)),
            }
        )
    return told


def _difference(name: str, means: seeds.Means, first: tuple, second: tuple) -> Numbers:
    """The first setting's loss less the second's, and in standard deviations of one run; 0 of a setting from itself."""
    found = means.difference(first, second) if first != second else seeds.exactly(0.0)
    in_noise = found.value / means.noise.sd if means.noise.sd else None
    return {name: found.to_dict(), f"{name}_in_noise": in_noise}


def _known(noise: Numbers) -> seeds.Noise:
    return seeds.Noise(noise["sd"], noise["dof"])


def law(entry: dict[str, Any], noise: Numbers) -> Numbers:
    """A law in the state: parameters with intervals, what state could still gain, its hold-out against the noise."""
    held = entry["holdout"]
    told: Numbers = {
        "group": entry["group"],
        "params": entry["params"],
        "bound_hits": entry["bound_hits"],
        "words": {name: " ".join(law_words.parameter(entry, name)).strip() for name in ("L_inf", "A", "alpha")},
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
    exponent = entry["derived"].get("state_exponent")
    told = {
        "law": entry["law"],
        "group": entry["group"],
        "params": entry["params"],
        "exponent": exponent,
        "claimed_exponent": CLAIMED[entry["law"]],
        "verdict": claims.of_exponent(exponent, CLAIMED[entry["law"]]),
        "best": entry["best"],
        "alarms": entry["alarms"],
    }
    if entry["law"] == "state-params":
        told["of_the_order_of_parameters"] = [claims.of_order(point, point["x"]) for point in entry["best"]]
    return told


def settings(finished: list[Row]) -> list[Numbers]:
    """Every setting with its mean over seeds and, of several, their standard deviation."""
    every = runs.conditions(finished)
    told = []
    for (family, size, context, condition, state), losses in sorted(_settings(finished).items(), key=_in_order):
        place = {"family": family, "size": runs.size_name(size), "train_context": context}
        spread = {"mean": fmean(losses), "sd": stdev(losses) if len(losses) > 1 else None, "seeds": len(losses)}
        told.append({**place, "condition": runs.condition_label(condition, every), "state": state, **spread})
    return told


def _in_order(item: tuple[tuple, Any]) -> tuple:
    family, size, context, condition, state = item[0]
    return size, str(condition), context, family, state


def _settings(finished: list[Row], context: int | None = None) -> dict[tuple, list[float]]:
    context = max(runs.eval_contexts(finished), default=0) if context is None else context
    found: dict[tuple, list[float]] = {}
    for row in runs.evaluated_at(finished, context):
        found.setdefault(runs.cell(row), []).append(runs.final_loss(row, context))
    return found


def _parameters(finished: list[Row]) -> dict[str, Numbers]:
    """By size: the smallest and largest count outside the embedding, and how far these are apart."""
    told = {}
    for size in runs.sizes(finished):
        counts = [row["n_params"]["non_embedding"] for row in finished if runs.size(row) == size]
        told[runs.size_name(size)] = {
            "least": min(counts),
            "most": max(counts),
            "spread": max(counts) / min(counts) - 1,
        }
    return told


def _statuses(table: list[Row]) -> set[str]:
    return {row["status"] for row in table}


def _families(table: list[Row]) -> list[str]:
    return runs.families(row for row in table if "family" in row)


def _named(row: Row) -> Numbers:
    return {"run": row["run_id"], "family": row["family"], "state": runs.state(row), "seed": row["seed"]}
