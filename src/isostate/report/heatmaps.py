"""Training context against state, colour the loss at the longest evaluation: at the end, and within a time budget."""

from __future__ import annotations

import math
from statistics import fmean
from typing import Any

from isostate.report import hover, labels, reading, style
from isostate.report import rows as runs
from isostate.report.controls import shared_controls
from isostate.report.rows import Row
from isostate.report.views import Figure, View, control, empty, figure

TITLE = "Training context against state"
CAPTION = (
    "Held-out loss at the longest evaluated context, by training context and state; the outline marks the lowest. "
    "Rule of thumb to test: double the state whenever the context is quadrupled."
)
BUDGET_TITLE = "Training context against state, at a time budget"
BUDGET_CAPTION = (
    "Held-out loss at the longest context that a run had been evaluated at when the time was up; seconds of training "
    "on the machine that ran it. A run counts until its learning rate begins to decay: one that had decayed is not "
    "held against one that had not. The colours are scaled to each budget."
)
BUDGETS = 24  # stops of the slider
CLOCKS = {"here": "training time, as measured", "a100": "training time on an A100, predicted"}
AXES: dict[str, reading.Axis] = {"here": "seconds", "a100": "a100"}
A100_NOTE = (
    "Predicted by the cost model's roofline in bf16, not measured: launches, which small models wait for, left out."
)


def context_against_state(table: list[Row]) -> Figure:
    """Mean final loss of a cell's seeds."""
    finished = runs.drawn(table)
    if not finished:
        words = "No run has finished yet. Several training contexts ([data] context) and states (state_size) fill it."
        return empty("contexts", TITLE, CAPTION, words)
    longest = max(runs.eval_contexts(finished))
    diverged = [row for row in table if row["status"] == "diverged"]

    def draw(size: Any, condition: Any, family: str) -> View:
        chosen = _of_family(runs.evaluated_at(finished, longest), size, condition, family)
        cells = cells_of(chosen, lambda row: runs.final_loss(row, longest))
        return _heat_view(chosen, cells, _of_family(diverged, size, condition, family), longest)

    def weigh(size: Any, condition: Any, family: str) -> int:
        return len(_of_family(finished, size, condition, family))

    return figure("contexts", TITLE, CAPTION, _controls(finished), draw, weigh)


def at_a_time_budget(table: list[Row]) -> Figure:
    """What each run had reached after so many seconds: the slider's budgets are spaced evenly in their logarithm."""
    timed = timed_runs(table)
    if not timed:
        words = "No timed evaluation yet. A study with [eval] every, several training contexts and states fills it."
        return empty("budget", BUDGET_TITLE, BUDGET_CAPTION, words)
    longest = max(int(context) for row in timed for point in row["curve"] for context in point["eval"])
    clocks = [clock for clock in CLOCKS if clock == "here" or all(row.get(reading.A100) for row in timed)]
    all_stops = {clock: stops(timed, clock) for clock in clocks}
    count = max(len(budgets) for budgets in all_stops.values())
    told = [(place, _stop(all_stops, place)) for place in range(count)]
    controls = [
        *_controls(timed),
        {**control("clock", "clock", "tabs", [(clock, CLOCKS[clock]) for clock in clocks]), "default": 0},
        control("budget", "budget", "slider", told),
    ]

    def draw(size: Any, condition: Any, family: str, clock: str, budget: int) -> View:
        seconds = all_stops[clock][min(budget, len(all_stops[clock]) - 1)]
        chosen = _of_family(timed, size, condition, family)
        reached = {row["run_id"]: loss for row in chosen if (loss := reached_within(row, seconds, clock)) is not None}
        within = [row for row in chosen if row["run_id"] in reached]
        view = _heat_view(chosen, cells_of(within, lambda row: reached[row["run_id"]]), [], longest)
        words = f"Budget: {labels.duration(seconds)}. {A100_NOTE if clock == 'a100' else ''}".strip()
        return {**view, "note": f"{words} {view['note']}".strip()} if "note" in view else view

    def weigh(size: Any, condition: Any, family: str, clock: str, budget: int) -> int:
        return 2 * len(_of_family(timed, size, condition, family)) + (clock == "here")

    return figure("budget", BUDGET_TITLE, BUDGET_CAPTION, controls, draw, weigh)


def timed_runs(table: list[Row]) -> list[Row]:
    """The runs that figures draw, and those that still train, if they were evaluated at a time that is known before
    their rate decayed."""
    kept = [*runs.drawn(table), *(row for row in table if row["status"] not in ("done", "diverged"))]
    return [row for row in kept if row["curve"] and reading.points(row, "seconds")]


def reached_within(row: Row, seconds: float, clock: str = "here") -> float | None:
    """Loss at the longest context the run was evaluated at, by its last undecayed evaluation within the budget, or
    None."""
    within = [loss for at, loss in reading.points(row, AXES[clock]) if at <= seconds]
    return within[-1] if within else None


def _stop(all_stops: dict[str, list[float]], place: int) -> str:
    """'12 s', and where it is predicted 'or 0.04 s on an A100'."""
    shown = {clock: labels.duration(budgets[min(place, len(budgets) - 1)]) for clock, budgets in all_stops.items()}
    return shown["here"] + (f", or {shown['a100']} on an A100" if "a100" in shown else "")


def stops(timed: list[Row], clock: str = "here") -> list[float]:
    """Budgets in seconds by the clock, from the first evaluation to the last before a decay."""
    times = [seconds for row in timed for seconds, _ in reading.points(row, AXES[clock])]
    low, high = max(min(times), 1e-6), max(times)
    steps = [low * (high / low) ** (i / (BUDGETS - 1)) for i in range(BUDGETS)]
    rounded = sorted({_up(step) for step in steps})
    return rounded


def _up(seconds: float) -> float:
    """Rounded up to two digits, so that the last evaluation is within the last budget."""
    unit = 10 ** (math.floor(math.log10(seconds)) - 1)
    return float(f"{math.ceil(seconds / unit * (1 - 1e-9)) * unit:.3g}")


def _controls(table: list[Row]) -> list[dict[str, Any]]:
    families = [(family, labels.plain(family)) for family in runs.families(table)]
    return [*shared_controls(table), control("family", "family", "select", families)]


def _of_family(table: list[Row], size: Any, condition: Any, family: str) -> list[Row]:
    wanted = (family, size, condition)
    return [row for row in table if (row["family"], runs.size(row), runs.condition(row)) == wanted]


def cells_of(table: list[Row], loss: Any) -> dict[tuple[int, int], tuple[float, list[Row]]]:
    """(training context, state) -> (mean loss, runs)."""
    groups: dict[tuple[int, int], list[Row]] = {}
    for row in table:
        groups.setdefault((row["train_context"], runs.state(row)), []).append(row)
    return {place: (fmean(loss(row) for row in group), group) for place, group in groups.items()}


def _heat_view(chosen: list[Row], cells: dict, diverged: list[Row], longest: int) -> View:
    if not cells:
        return {"missing": "Nothing here yet: no run of this family and size had been evaluated."}
    every = [*chosen, *diverged]
    contexts, states = runs.train_contexts(every), sorted({runs.state(row) for row in every})
    # categories, not numbers: states are the families' own, far from evenly spaced
    x_names, y_names = [labels.decimal(s) for s in states], [f"{c:,}" for c in contexts]
    if len(set(x_names)) < len(states):
        x_names = [f"{s:,}" for s in states]
    grid = [[cells.get((context, state)) for state in states] for context in contexts]
    heat = {
        "type": "heatmap",
        "x": x_names,
        "y": y_names,
        "z": [[entry[0] if entry else None for entry in line] for line in grid],
        "text": [[labels.loss(entry[0]) if entry else "" for entry in line] for line in grid],
        "texttemplate": "%{text}",
        "hoverinfo": "text",
        "hovertext": [[_text(entry, longest) if entry else "not trained" for entry in line] for line in grid],
        "hoverongaps": False,
        "colorscale": style.LOSS_SCALE,
        "colorbar": {"title": {"text": "nats per token", "side": "right"}},
        "xgap": 2,
        "ygap": 2,
    }
    best = min(cells, key=lambda place: (cells[place][0], place))
    lost = {(row["train_context"], runs.state(row)) for row in diverged} - set(cells)
    crosses = {
        "type": "scatter",
        "mode": "markers",
        "x": [x_names[states.index(state)] for _, state in sorted(lost)],
        "y": [y_names[contexts.index(context)] for context, _ in sorted(lost)],
        "marker": {"symbol": "x-thin", "size": 14, "line": {"color": style.RING, "width": 2.5}},
        "hoverinfo": "text",
        "hovertext": "diverged",
    }
    row, column = contexts.index(best[0]), states.index(best[1])
    corners = {"x0": column - 0.5, "x1": column + 0.5, "y0": row - 0.5, "y1": row + 0.5}
    layout = {
        "xaxis": {"type": "category", "categoryarray": x_names, "title": {"text": "state (elements per sequence)"}},
        "yaxis": {"type": "category", "categoryarray": y_names, "title": {"text": "training context (tokens)"}},
        "showlegend": False,
        "shapes": [
            {"type": "rect", **corners, "line": {"color": style.RING, "width": 2.5}, "fillcolor": "transparent"}
        ],
    }
    data = [heat, *([crosses] if lost else [])]
    return {"data": data, "layout": layout, "note": _heat_note(contexts, states, bool(lost))}


def _text(entry: tuple[float, list[Row]], longest: int) -> str:
    mean, group = entry
    return f"{labels.loss(mean)} nats ({labels.plural(len(group), 'run')})<br>{hover.of_run(group[0], None)}"


def _heat_note(contexts: list[int], states: list[int], diverged: bool) -> str:
    words = []
    if len(contexts) == 1:
        words.append("One training context so far: give [data] context a list to compare several.")
    if len(states) == 1:
        words.append("One state so far: give state_size in [[sweep]] a list to compare several.")
    if diverged:
        words.append("Crosses mark runs that diverged.")
    return " ".join(words)
