"""The answers to the questions of the reference study (questions.py) and the claims, as Markdown tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from isostate.report import best_state, labels
from isostate.report.markdown import NOTHING, Numbers, heads, interval, nats, place, places, table

STOPS = 5  # of a slider's, as rows


def contexts(numbers: Numbers, evaluated: str = "") -> str:
    """Question 2: the best training context of each state and the best state of each context, by evaluated context."""
    entries = _at(numbers["answers"].get("contexts", []), "eval_context", evaluated)
    varying = places(entries, ("size",))
    head = ["family", *heads(varying), "evaluated at", "best context by state", "best state by context", "inside"]
    rows = []
    for entry in entries:
        by_state = [f"{labels.decimal(int(s))}: {c:,}" for s, c in entry["best_train_context_by_state"].items()]
        by_context = [f"{int(c):,}: {labels.decimal(s)}" for c, s in entry["best_state_by_train_context"].items()]
        inside = labels.percent(entry["share_of_states_with_an_interior_best"])
        cells = [f"{entry['eval_context']:,}", ", ".join(by_state), ", ".join(by_context), inside]
        rows.append([entry["family"], *place(entry, varying), *cells])
    return table(head, rows)


def grid(numbers: Numbers) -> str:
    """The heat map of question 2: mean loss by training context and state, a family after another."""
    settings = numbers["settings"]
    trained = sorted({setting["train_context"] for setting in settings})
    varying = places(settings, ("size", "condition"))
    groups: dict[tuple, dict[int, Numbers]] = {}
    for setting in settings:
        key = (setting["family"], *place(setting, varying), setting["state"])
        groups.setdefault(key, {})[setting["train_context"]] = setting
    head = ["family", *heads(varying), "state", *(f"trained at {context:,}" for context in trained)]
    rows = []
    for (family, *where, state), found in groups.items():
        cells = [nats(found[context]["mean"]) if context in found else "" for context in trained]
        rows.append([family, *where, labels.decimal(state), *cells])
    return table(head, rows)


def against_softmax(numbers: Numbers, evaluated: str = "") -> str:
    """Question 2: each family's largest state less softmax; positive is behind."""
    entries = _at(numbers["answers"].get("against_softmax", []), "eval_context", evaluated)
    families = sorted({family for entry in entries for family in entry["families"]})
    head = ["trained at", "evaluated at", "softmax (nats)", *(f"{family} behind by" for family in families)]
    rows = [
        [
            f"{entry['train_context']:,}", f"{entry['eval_context']:,}", nats(entry["softmax"]),
            *(nats(entry["families"].get(family, {}).get("behind_nats"), sign=True) for family in families),
        ]
        for entry in entries
    ]  # fmt: skip
    return table(head, rows)


def compute(numbers: Numbers) -> str:
    """Question 3: the best size and state within budgets of training FLOPs."""
    head = ["family", "FLOPs", "parameters", "state", "state / parameters", "loss (nats)", "runs that had a loss"]
    rows = [
        [
            entry["family"], labels.tick(entry["budget_flops"]), labels.decimal(entry["parameters"]),
            labels.decimal(entry["state"]), f"{entry['state_over_parameters']:.2g}", nats(entry["loss"]),
            str(entry["runs"]),
        ]
        for entry in numbers["answers"].get("at_compute", [])
    ]  # fmt: skip
    return table(head, rows)


def joint(numbers: Numbers) -> str:
    """The joint laws: the exponent of S*, what the note claims of it, the state that each context or size asks for."""
    entries = numbers["joint"]
    head = ["family", "law", "exponent of S*", "claimed", "S*", "warnings"]
    rows = []
    for entry in entries:
        written = (lambda x: f"{x:,.0f}") if entry["law"] == "state-context" else labels.decimal
        star = [f"{best_state.told(entry, point)} at {written(point['x'])}" for point in entry["best"]]
        cells = [
            best_state.told_exponent(entry["exponent"]),
            f"{entry['claimed_exponent']:g}",
            ", ".join(star) or NOTHING,
            "; ".join(entry["alarms"]),
        ]
        rows.append([entry["group"]["family"], entry["law"], *cells])
    return table(head, rows)


def budgets(numbers: Numbers, clock: str = "here") -> str:
    """Question 4: the best training context and state within times, some stops of the slider."""
    entries = [entry for entry in numbers["answers"].get("at_budgets", []) if entry["clock"] == clock]
    seconds = sorted({entry["seconds"] for entry in entries})
    kept = {seconds[round(i * (len(seconds) - 1) / (STOPS - 1))] for i in range(STOPS)} if seconds else set()
    head = ["family", "time", "best training context", "best state", "loss (nats)", "settings that had a loss"]
    rows = [
        [
            entry["family"], labels.duration(entry["seconds"]), f"{entry['train_context']:,}",
            labels.decimal(entry["state"]), nats(entry["loss"]), str(entry["settings"]),
        ]
        for entry in sorted(entries, key=lambda entry: (entry["family"], entry["seconds"]))
        if entry["seconds"] in kept
    ]  # fmt: skip
    return table(head, rows)


def texts(numbers: Numbers, evaluated: str = "") -> str:
    """Question 5: by text and part, what a doubling of state gains."""
    entries = _at(numbers["answers"].get("by_text", []), "eval_context", evaluated)
    varying = places(entries, ("size",))
    head = ["text", *heads(varying), "part", "family", "loss by state (nats)", "nats a doubling of state"]
    rows = []
    for entry in sorted(entries, key=lambda entry: (entry["text"], entry["part"], entry["family"])):
        losses = ", ".join(f"{labels.decimal(int(s))}: {nats(v)}" for s, v in entry["losses"].items())
        cells = [entry["part"], entry["family"], losses, interval(entry["interval"], 4)]
        rows.append([entry["text"], *place(entry, varying), *cells])
    return table(head, rows)


def published(points: Sequence[Numbers]) -> str:
    """The points that were published, and what a doubling of state gains from each to the next."""
    head = ["family", "state", "loss (nats)", "nats a doubling from the last"]
    rows = [
        [
            point["family"], labels.decimal(point["state"]), nats(point["loss"]),
            nats(point["nats_a_doubling_from_the_last"], 4),
        ]
        for point in points
    ]  # fmt: skip
    return table(head, rows)


def claims(told: Mapping[str, Numbers], chapter: str = "") -> str:
    """The claims with their verdicts, all or those of one study."""
    head = ["claim", "where it stands", "verdict", "numbers (95 % intervals)", "study"]
    rows = [
        [claim["claim"], claim["source"], f"**{claim['verdict']}**", claim["evidence"], claim["chapter"]]
        for claim in told.values()
        if chapter in ("", claim["chapter"])
    ]
    return _left(table(head, rows))


def parts(told: Mapping[str, Numbers], key: str) -> str:
    """One claim's parts, each with its own verdict."""
    return _left(table(["part", "verdict"], [[part["told"], part["verdict"]] for part in told[key]["parts"]]))


def _left(text: str) -> str:
    return text.replace("---:", "---", text.count("---:"))


def _at(entries: list[Numbers], name: str, chosen: str) -> list[Any]:
    if chosen == "all":
        return entries
    wanted = int(chosen) if chosen else max((entry[name] for entry in entries), default=0)
    return [entry for entry in entries if entry[name] == wanted]
