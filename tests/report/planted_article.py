"""The reference study's five studies as tables with planted laws: its families, states, sizes, contexts, texts."""

from __future__ import annotations

import math
from typing import Any

from tests.report import studies

LAWS = {  # L_inf, A, alpha
    "window": (2.93, 11.0, 0.48),
    "linear": (3.06, 9.0, 0.55),
    "linear-gated": (3.02, 9.0, 0.55),
    "taylor-2-gated": (2.97, 8.0, 0.46),
    "power-2": (3.00, 6.0, 0.42),
    "power-2-gated": (2.95, 6.0, 0.42),
    "power-4-gated": (2.98, 7.0, 0.45),
    "mamba2": (2.96, 7.0, 0.44),
    "softmax": (2.93, 11.0, 0.48),
}
STATES = {
    "window": (1_792, 2_816, 4_864, 8_960, 33_536, 131_840),
    "linear": (1_536, 2_048, 3_072, 5_120, 9_216, 17_408),
    "linear-gated": (1_536, 2_048, 3_072, 5_120, 9_216, 17_408),
    "taylor-2-gated": (3_072, 5_568, 13_728, 42_384, 148_872, 558_468),
    "power-2": (1_920, 3_968, 11_136, 37_760, 140_160, 541_568),
    "power-2-gated": (1_920, 3_968, 11_136, 37_760, 140_160, 541_568),
    "power-4-gated": (1_280, 2_688, 11_968, 95_808),
    "mamba2": (3_376, 4_448, 6_592, 10_880, 19_456, 36_608),
}
TINY, SMALL, MEDIUM, LARGE = (4, 32, 83_752), (4, 64, 262_048), (4, 128, 924_804), (4, 256, 3_407_296)
WIDE = {  # of question 3, and of the tabs of question 1
    "window": {TINY: 0.5, SMALL: 1.0, MEDIUM: 2.0, LARGE: 4.0},
    "power-2-gated": {TINY: 0.5, SMALL: 1.0, MEDIUM: 2.0, LARGE: 4.0},
    "linear-gated": {MEDIUM: 2.0},
}
PYTHON, BARD = "python", "bard"
RECALL, SPREAD = "bard + recall of 8 at 64, 25 %", "bard, 3 fillers"
CONTEXTS = (128, 512, 2_048, 4_096)


def run(family: str, state: int, size=SMALL, context=256, seed=0, evals=(256, 1_024), **changes: Any) -> dict:
    """A finished run whose losses follow the family's law; its noise is that of studies.run."""
    row = studies.run(family, size, state, context, seed, evals, corpus=PYTHON, predicted_a100_step_s=2e-5)
    floor, scale, exponent = LAWS[family]
    for evaluated in evals:
        want = floor + scale * state**-exponent * (context / 256) ** 0.24
        want += 0.25 * (256 / context) ** 0.5 - 0.4 * math.log10(size[2] / SMALL[2])
        want += 0.04 * max(0.0, math.log2(evaluated / context)) - 0.01 * math.log2(evaluated / 256)
        shift(row, evaluated, want - studies.expected_loss(family, size[2], state, context, evaluated))
    return {**row, **changes}


def shift(row: dict, evaluated: int, by: float) -> None:
    """All that the run says of its loss at this context, so much higher."""
    final = row["final"][str(evaluated)]
    final["loss_nats"] += by
    final["by_position"]["loss_nats"] = [loss + by for loss in final["by_position"]["loss_nats"]]
    for point in row["curve"]:
        if str(evaluated) in point["eval"]:
            point["eval"][str(evaluated)] += by


def state_laws() -> list[dict]:
    """Question 1: three seeds of the small model (one where the file has one), one of the larger ones."""
    single = ("linear", "power-2")
    rows = [
        run(family, state, seed=seed)
        for family, states in STATES.items()
        for state in states
        for seed in ((0,) if family in single else (0, 1, 2))
    ]
    return rows + [row for row in sizes(WIDE) if row["d_model"] > SMALL[1]]


def sizes(wide=None) -> list[dict]:
    """Question 3: states grow with the width."""
    wide = wide or {family: WIDE[family] for family in ("window", "power-2-gated")}
    return [
        run(family, int(state * width), size=size)
        for family, widths in wide.items()
        for size, width in widths.items()
        for state in STATES[family][:4]
    ]


def contexts() -> list[dict]:
    """Question 2: two seeds, softmax and the ungated power with one; evaluated at 1,024 to 16,384."""
    rows = []
    for context in CONTEXTS:
        at: dict[str, Any] = {"context": context, "evals": (1_024, 4_096, 16_384), "corpus": BARD}
        for family, states in (("window", STATES["window"][1::2]), ("power-2-gated", STATES["power-2"][1:5])):
            rows += [run(family, state, seed=seed, **at) for state in states for seed in (0, 1)]
        rows += [run("power-2", state, **at) for state in (11_136, 140_160)]
        rows.append(run("softmax", 512 * context + 768, **at))
    return rows


def budgets() -> list[dict]:
    """Question 4."""
    at: dict[str, Any] = {"evals": (4_096,), "corpus": BARD}
    return [
        run(family, state, context=context, **at)
        for context in CONTEXTS[:3]
        for family, states in (("window", STATES["window"][1::2]), ("power-2-gated", STATES["power-2"][1:5]))
        for state in states
    ]


def texts() -> list[dict]:
    """Question 5: with recall the answers are told apart, and fall by a third of a nat a doubling of state."""
    rows = []
    for text in (PYTHON, BARD, RECALL, SPREAD):
        for family in ("window", "power-2-gated"):
            for state in STATES[family][:4]:
                rows += [_told_apart(run(family, state, seed=seed, corpus=text), text) for seed in (0, 1)]
    return rows


def _told_apart(row: dict, text: str) -> dict:
    data = {**row["config"]["data"], **({"recall": {"values": 64}} if text == RECALL else {})}
    config = {**row["config"], "data": data, "text": text}
    slope = {PYTHON: 0.0, BARD: -0.02, RECALL: 0.02, SPREAD: 0.04}[text]
    for evaluated, final in row["final"].items():
        doublings = math.log2(row["state"]["elements"] / 1_920)
        shift(row, int(evaluated), {PYTHON: 0.0}.get(text, 0.6) - slope * doublings)
        if text == RECALL:
            answers = math.log(64) - doublings / 3
            final["parts"] = {
                "answers": {"loss_nats": answers, "n_tokens": 8_000},
                "text": {"loss_nats": final["loss_nats"] + 0.1, "n_tokens": 100_000},
            }
    return {**row, "config": config, "run_id": studies.digest(config)}


STUDIES = {
    "01_state_laws": (state_laws, ["state"]),
    "02_context": (contexts, ["state", "state-context"]),
    "03_model_size": (sizes, ["state", "state-params"]),
    "04_time_budgets": (budgets, ["state"]),
    "05_data": (texts, ["state"]),
}
