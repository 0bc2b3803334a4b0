"""What the training context makes of the law: learning curves on the left, loss against state on the right.

Once with a slider over the training contexts, once the shortest above the longest.
"""

from __future__ import annotations

from statistics import fmean
from typing import Any

from isostate.report import fits, labels, reading, style
from isostate.report import rows as runs
from isostate.report.controls import select, shared_controls, train_context_control
from isostate.report.figures import law_traces
from isostate.report.rows import Row
from isostate.report.views import Figure, View, control, empty, figure

TITLE = "The training context makes the law"
ENDS_TITLE = "The law at the shortest and at the longest training context"
CAPTION = (
    "Held-out loss at the longest evaluated context: in the course of training on the left, at its end against state "
    "on the right. The slider goes through the training contexts; the axes stay."
)
ENDS_CAPTION = (
    "Held-out loss at the longest evaluated context, above after training at the shortest context, below at the "
    "longest: learning curves on the left, loss against state on the right, on the same axes."
)
SHARED = 0.05  # of the range of losses, left free above and below
ONE_CONTEXT = "One training context so far: give [data] context a list to see the law change with it."
ON_THE_WAY = "Curves end before the final evaluation where that is over more text."
NOTES = {
    True: f"Of each family the smallest state's learning curve is thin, the largest state's thick. {ON_THE_WAY}",
    False: f"Colours on the left go from small states to large ones. {ON_THE_WAY}",
}


def by_training_context(table: list[Row], laws: list[dict[str, Any]]) -> Figure:
    """Every size and condition, the families together or one of them; a slider over the training contexts."""
    finished = runs.drawn(table)
    if len(runs.train_contexts(finished)) < 2:
        return empty("by-context", TITLE, CAPTION, ONE_CONTEXT)
    controls = [*_controls(finished), train_context_control(finished, "slider")]
    drawn = _Drawn(finished, laws)

    def draw(train_context: int, **at: Any) -> View:
        return drawn.view([train_context], **at)

    return figure("by-context", TITLE, CAPTION, controls, draw, lambda **at: len(drawn.members(**at)))


def at_both_ends(table: list[Row], laws: list[dict[str, Any]]) -> Figure:
    """The same at the shortest context, above, and at the longest, below."""
    finished = runs.drawn(table)
    contexts = runs.train_contexts(finished)
    if len(contexts) < 2:
        return empty("both-ends", ENDS_TITLE, ENDS_CAPTION, ONE_CONTEXT)
    drawn, ends = _Drawn(finished, laws), (contexts[0], contexts[-1])

    def draw(**at: Any) -> View:
        return drawn.view(ends, **at)

    def weigh(**at: Any) -> int:
        return sum(len(drawn.members(train_context=context, **at)) for context in ends)

    return figure("both-ends", ENDS_TITLE, ENDS_CAPTION, _controls(finished), draw, weigh)


def _controls(finished: list[Row]) -> list[dict[str, Any]]:
    families = [(family, labels.plain(family)) for family in runs.families(finished)]
    together = [("", "all families")] if len(families) > 1 else []
    return [*shared_controls(finished), control("family", "family", "select", [*families, *together])]


class _Drawn:
    """The finished runs of a study and their laws, drawn at some training contexts: a pair of panels each."""

    def __init__(self, finished: list[Row], laws: list[dict[str, Any]]):
        self.finished, self.laws = finished, laws
        self.families, self.conditions = runs.families(finished), runs.conditions(finished)
        self.longest = max(runs.eval_contexts(finished))

    def members(self, size: Any, condition: Any, family: str, train_context: int) -> list[Row]:
        chosen = runs.evaluated_at(select(self.finished, size, condition, train_context), self.longest)
        return [row for row in chosen if family in ("", row["family"])]

    def view(self, contexts: Any, size: Any, condition: Any, family: str) -> View:
        data: list[dict[str, Any]] = []
        for place, context in enumerate(contexts):
            members = self.members(size, condition, family, context)
            data += self._pair(members, 2 * place, together=not family)
        if not data:
            return {"missing": "No finished run of this family and size was trained at this context."}
        wanted = (size, condition)
        every = [row for row in self.finished if (runs.size(row), runs.condition(row)) == wanted]
        every = runs.evaluated_at((row for row in every if family in ("", row["family"])), self.longest)
        titles = [
            f"<b>{words}</b> trained at {context:,}"
            for context in contexts
            for words in ("Learning curves", "Loss against state")
        ]
        panels = {"titles": titles, "columns": 2, "narrow": 1, "shared": False}
        layout = self._layout(every, len(contexts))
        return {"data": data, "layout": layout, "note": NOTES[not family], "panels": panels}

    def _pair(self, members: list[Row], before: int, together: bool) -> list[dict[str, Any]]:
        """Curves in panel `before` + 1, laws in the next one; named in the legend by the first pair alone."""
        left: list[dict[str, Any]] = []
        right: list[dict[str, Any]] = []
        for family in runs.families(members):
            mine = [row for row in members if row["family"] == family]
            look = style.of_family(family, self.families)
            place = (runs.size(mine[0]), runs.condition(mine[0]), mine[0]["train_context"], self.longest)
            law = fits.find(self.laws, fits.group_of(family, *place, every=self.conditions))
            drawn = law_traces(family, mine, law, look, self.longest)
            right += [trace for trace in drawn if not (together and "alone" in trace["meta"])]
            groups = list(runs.by_state(mine).values())
            chosen = _ends(groups) if together else groups
            line = style.by_colour(family, self.families)
            for rank, group in enumerate(chosen):
                thick = rank == len(chosen) - 1
                shown = _in_family(line, thick) if together else _of_rank(rank, len(chosen))
                left.append(self._curve(group, shown))
        left = [{**trace, "showlegend": not together} for trace in left]
        right = [trace for trace in right if together or "name" not in trace]
        named = [{**trace, "showlegend": False} if before else trace for trace in left + right]
        marks = ["" if place == 0 else str(place + 1) for place in (before, before + 1)]
        panels = [marks[0]] * len(left) + [marks[1]] * len(right)
        return [
            {**trace, "xaxis": f"x{mark}", "yaxis": f"y{mark}"} if mark else trace
            for trace, mark in zip(named, panels, strict=True)
        ]

    def _curve(self, group: list[Row], line: dict[str, Any]) -> dict[str, Any]:
        """The mean of a state's seeds at each evaluation."""
        points: dict[int, list[float]] = {}
        for row in group:
            for point in reading.on_one_text(row):
                loss = point["eval"].get(str(self.longest))
                if loss is not None:
                    points.setdefault(point["step"], []).append(loss)
        kept = {step: fmean(losses) for step, losses in sorted(points.items()) if len(losses) == len(group)}
        name, family = labels.decimal(runs.state(group[0])), group[0]["family"]
        return {
            "type": "scatter",
            "mode": "lines",
            "name": name,
            "legendgroup": labels.plotly_text(family) if "dash" in line else name,
            "meta": {"family": family},
            "x": list(kept),
            "y": list(kept.values()),
            "line": line,
            "hoverinfo": "text",
            "hovertext": f"<b>{labels.plotly_text(family)}</b><br>state {name}, {labels.plural(len(group), 'seed')}",
        }

    def _layout(self, every: list[Row], pairs: int) -> dict[str, Any]:
        """The same axes for each pair, from all runs: they stay from context to context."""
        losses = [runs.final_loss(row, self.longest) for row in every]
        room = SHARED * (max(losses) - min(losses)) or SHARED
        low, high = min(losses) - room, max(losses) + room
        steps, states = max(row["steps"] for row in every), [runs.state(row) for row in every]
        points = [point for row in every for point in reading.on_one_text(row) if point["step"] >= 0.2 * steps]
        late = [loss for point in points if (loss := point["eval"].get(str(self.longest))) is not None]
        left = {"title": {"text": "updates"}, "range": [0, 1.02 * steps], "nticks": 6}
        right = style.decimal_axis("state (elements per sequence)", min(states), max(states), most=5)
        layout: dict[str, Any] = {}
        for place in range(pairs):
            first, second = "" if place == 0 else str(2 * place + 1), str(2 * place + 2)
            layout[f"xaxis{first}"], layout[f"xaxis{second}"] = left, right
            layout[f"yaxis{first}"] = {**style.loss_axis(), "range": [low, max([high, *late])]}
            layout[f"yaxis{second}"] = {"range": [low, high]}
        return layout


def _ends(groups: list[list[Row]]) -> list[list[Row]]:
    """The smallest state and the largest; the one there is."""
    return groups if len(groups) == 1 else [groups[0], groups[-1]]


def _in_family(look: dict[str, str], thick: bool) -> dict[str, Any]:
    colour = look["color"]
    shown = {"color": colour, "width": 2.4} if thick else {"color": style.faded(colour, 0.55), "width": 1.2}
    return {**shown, "dash": look["dash"]}


def _of_rank(rank: int, count: int) -> dict[str, Any]:
    return {"color": style.of_rank(rank, count)["color"], "width": 1.8}
