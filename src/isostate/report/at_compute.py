"""The best size and state within a budget of training FLOPs, by the curves: does the state follow the parameters?"""

from __future__ import annotations

from typing import Any

from isostate.report import labels, questions, style, traces
from isostate.report import rows as runs
from isostate.report.rows import Row
from isostate.report.views import Figure, View, empty, figure

TITLE = "The best state within a compute budget"
CAPTION = (
    "For each family and budget of training FLOPs the run that had the lowest held-out loss when the budget was spent: "
    "its loss on the left, its state against its parameters on the right. The note claims that both are of the same "
    "order, the dotted line. On the right families stand a few percent aside, so that all points are seen."
)
BUDGETS = 12


def best_within_compute(table: list[Row]) -> Figure:
    """Of all runs together, whatever their size; several conditions or training contexts are told apart by a run's."""
    finished = [row for row in runs.drawn(table) if row["curve"] and row["train_flops"]]
    if len(runs.sizes(finished)) < 2:
        words = "One model size so far: several [[size]] tables let parameters and state be weighed at equal compute."
        return empty("compute", TITLE, CAPTION, words)
    told = questions.at_compute(finished, questions.budgets_of(finished, BUDGETS))

    def draw() -> View:
        return _view(told, runs.families(finished))

    return figure("compute", TITLE, CAPTION, [], draw, lambda: len(told))


def _view(told: list[dict[str, Any]], every: list[str]) -> View:
    data: list[dict[str, Any]] = []
    for rank, family in enumerate(every):
        mine = [entry for entry in told if entry["family"] == family]
        look, name = style.of_family(family, every), labels.plotly_text(family)
        budgets, losses = [entry["budget_flops"] for entry in mine], [entry["loss"] for entry in mine]
        texts = [f"<b>{name}</b><br>{_said(entry)}" for entry in mine]
        marks = traces.marker(look["symbol"], look["color"], 7.0)
        left = [traces.line(budgets, losses, look, width=1.5), traces.points(budgets, losses, marks, texts)]
        right = _by_parameters(mine, name, look, 1.0 + 0.04 * (rank - (len(every) - 1) / 2))
        shown = [traces.legend_entry(name, look), *left, *({**trace, "xaxis": "x2", "yaxis": "y2"} for trace in right)]
        data += [{**trace, "legendgroup": name, "meta": {"family": family}} for trace in shown]
    params, states = [entry["parameters"] for entry in told], [entry["state"] for entry in told]
    ends = [min(params), max(params)]
    equal = traces.line(ends, ends, {"color": style.NEUTRAL, "dash": "dot"}, width=1.5)
    data.append({**equal, "showlegend": True, "name": "S = N", "meta": {"family": ""}, "xaxis": "x2", "yaxis": "y2"})
    spent = [entry["budget_flops"] for entry in told]
    layout = {
        "xaxis": style.decimal_axis("training FLOPs", min(spent), max(spent), most=4),
        "yaxis": style.loss_axis(),
        "xaxis2": style.decimal_axis("parameters without embedding", *_wide(params), most=5),
        "yaxis2": style.decimal_axis("state (elements per sequence)", *_wide([*states, *ends])),
    }
    heads = ["<b>Lowest loss</b> within a budget", "<b>The state</b> that reached it, by parameters"]
    panels = {"titles": heads, "columns": 2, "narrow": 1, "shared": False}
    return {"data": data, "layout": layout, "note": _note(told), "panels": panels}


def _wide(values: list[int]) -> tuple[float, float]:
    return 0.8 * min(values), 1.25 * max(values)


def _by_parameters(mine: list[dict[str, Any]], name: str, look: dict[str, str], aside: float) -> list[dict[str, Any]]:
    """A marker a setting that was best, the larger the more budgets it was best in; a line in the order of budgets."""
    counts: dict[tuple[int, int], list[dict[str, Any]]] = {}
    for entry in mine:
        counts.setdefault((entry["parameters"], entry["state"]), []).append(entry)
    xs, ys = [aside * n_params for n_params, _ in counts], [state for _, state in counts]
    sizes = [6.0 + 2.0 * len(entries) for entries in counts.values()]
    texts = [
        f"<b>{name}</b><br>{labels.decimal(n_params)} parameters, state {labels.decimal(state)}<br>best of budgets "
        f"from {labels.tick(entries[0]['budget_flops'])} to {labels.tick(entries[-1]['budget_flops'])} FLOPs"
        for (n_params, state), entries in counts.items()
    ]
    marks = {"symbol": look["symbol"], "color": look["color"], "size": sizes, "opacity": 0.85}
    return [traces.line(xs, ys, look, width=1.2), traces.points(xs, ys, marks, texts)]


def _said(entry: dict[str, Any]) -> str:
    return (
        f"{labels.loss(entry['loss'])} nats within {labels.tick(entry['budget_flops'])} FLOPs<br>"
        f"{labels.decimal(entry['parameters'])} parameters, state {labels.decimal(entry['state'])}"
    )


def _note(told: list[dict[str, Any]]) -> str:
    """At the largest budget, how far the best state is from the parameters."""
    last = max(entry["budget_flops"] for entry in told)
    shares = [
        f"{labels.plain(entry['family'])} {labels.number(entry['state_over_parameters'], 2)}"
        for entry in told
        if entry["budget_flops"] == last
    ]
    larger = "Larger markers were best in more budgets."
    return f"State over parameters of the best run at the largest budget: {labels.listing(shares)}. {larger}"
