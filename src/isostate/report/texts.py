"""What state is worth on texts of different structure, and the loss on the answers where recall was mixed in."""

from __future__ import annotations

import math
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from isostate.report import hover, labels, style, traces
from isostate.report import rows as runs
from isostate.report.controls import eval_context_control, train_context_control
from isostate.report.questions import a_doubling
from isostate.report.rows import Row
from isostate.report.views import Figure, View, control, empty, figure

TITLE = "What state is worth, by text"
CAPTION = (
    "Nats gained since the smallest state of a family, by text, and on the right how many a doubling of state gains "
    "between the smallest and the largest: a marker a family, small ones its seeds. The more long structure a text "
    "has, the more state should pay."
)
ANSWERS_TITLE = "Loss on the answers of recall"
ANSWERS_CAPTION = (
    "A key that came before with its value is named again, and the model is to say the value: held-out loss on those "
    "answers alone, against state. Who remembers nothing loses what the dotted line says, the logarithm of how many "
    "values there are; who remembers all loses nothing. Small markers are seeds."
)
ANSWERS = "answers"
PARTS = {"all": "all tokens", "text": "text alone", ANSWERS: "answers of recall"}


def by_text(table: list[Row]) -> Figure:
    """Tabs for all tokens, the text's alone, the answers; every size, training and evaluated context."""
    finished = runs.drawn(table)
    if len({row["corpus"] for row in finished}) < 2:
        words = "One text so far: several [[text]] tables let the worth of state be compared between them."
        return empty("texts", TITLE, CAPTION, words)
    parts = [(part, words) for part, words in PARTS.items() if any(_has(row, part) for row in finished)]
    controls = [
        *_size_and_contexts(finished),
        control("part", "loss on", "tabs" if len(parts) > 1 else "select", parts),
    ]

    def members(size: Any, train_context: int, eval_context: int, part: str) -> list[Row]:
        place = (size, train_context)
        chosen = runs.evaluated_at(finished, eval_context)
        return [row for row in chosen if (runs.size(row), row["train_context"]) == place and _has(row, part)]

    def draw(**at: Any) -> View:
        return _texts_view(members(**at), finished, at["eval_context"], at["part"])

    return figure("texts", TITLE, CAPTION, controls, draw, lambda **at: 2 * len(members(**at)) + (at["part"] == "all"))


def recall_answers(table: list[Row]) -> Figure:
    """A line a family; of several texts with recall one is chosen."""
    finished = [row for row in runs.drawn(table) if _has(row, ANSWERS)]
    if not finished:
        words = "No finished run was evaluated on recall: [data.recall], or a [[text]] with recall, fills this figure."
        return empty("answers", ANSWERS_TITLE, ANSWERS_CAPTION, words)
    texts = [(text, labels.plain(text)) for text in sorted({row["corpus"] for row in finished})]
    controls = [*_size_and_contexts(finished), control("text", "text", "select", texts)]

    def members(size: Any, train_context: int, eval_context: int, text: str) -> list[Row]:
        place = (size, train_context, text)
        chosen = [row for row in finished if (runs.size(row), row["train_context"], row["corpus"]) == place]
        return [row for row in chosen if _loss(row, eval_context, ANSWERS) is not None]

    def draw(**at: Any) -> View:
        return _answers_view(members(**at), finished, at["eval_context"])

    return figure("answers", ANSWERS_TITLE, ANSWERS_CAPTION, controls, draw, lambda **at: len(members(**at)))


def _size_and_contexts(table: list[Row]) -> list[dict[str, Any]]:
    sizes = [(key, runs.size_label(table, key)) for key in runs.sizes(table)]
    return [
        control("size", "model size", "tabs" if len(sizes) > 1 else "select", sizes),
        train_context_control(table, "select"),
        eval_context_control(table),
    ]


def _loss(row: Row, context: int, part: str) -> float | None:
    """On one part of the tokens; where a text has but one part, all of it is the text."""
    one = not row["final"].get(str(context), {}).get("parts")
    return runs.part_loss(row, context, "all" if part == "text" and one else part)


def _has(row: Row, part: str) -> bool:
    """Whether the run was evaluated on this part; "text" is worth a tab where something else was told apart."""
    return part == "all" or any(_loss(row, int(context), part) is not None for context in row["final"])


def _texts_view(members: list[Row], finished: list[Row], context: int, part: str) -> View:
    texts, families = sorted({row["corpus"] for row in finished}), runs.families(finished)
    data: list[dict[str, Any]] = []
    for text in sorted({row["corpus"] for row in members}, reverse=True):  # rows are drawn upwards
        for family in families:
            mine = [row for row in members if (row["corpus"], row["family"]) == (text, family)]
            look = {**style.of_family(family, families), "color": style.of_family(text, texts)["color"]}
            data += _worth(text, mine, look, context, part)
    if not data:
        return {"missing": "No two states of a family were evaluated here, so nothing can be gained between them."}
    named = [_named(text, {**style.of_family(text, texts), "symbol": "circle", "dash": "solid"}) for text in texts]
    named += [_named(family, {**style.of_family(family, families), "color": style.NEUTRAL}) for family in families]
    states = [runs.state(row) for row in members]
    worth = [x for trace in data if "xaxis" in trace for x in trace["x"]]
    shown = sorted({row["corpus"] for row in members})
    layout = {
        "xaxis": style.decimal_axis("state (elements per sequence)", min(states), max(states), most=5),
        "yaxis": {"title": {"text": "nats gained"}, "rangemode": "tozero"},
        "xaxis2": _from_nothing("nats gained a doubling of state", worth),
        "yaxis2": {"type": "category", "showticklabels": False, "ticks": "", "range": [-0.4, len(shown) - 0.4]},
        "annotations": [_row_name(text) for text in shown],
    }
    heads = ["<b>Nats gained</b> since the smallest state", "<b>A doubling</b> of state gains"]
    panels = {"titles": heads, "columns": 2, "narrow": 1, "shared": False}
    return {"data": [*named, *data], "layout": layout, "note": "", "panels": panels}


def _row_name(text: str) -> dict[str, Any]:
    """A row's name above its line: beside it there is no room for the name of a text."""
    name = labels.plotly_text(text)
    at = {"xref": "x2 domain", "x": 0.0, "xanchor": "left", "yref": "y2", "y": name, "yanchor": "bottom", "yshift": 6}
    return {"text": name, **at, "showarrow": False}


def _from_nothing(title: str, values: list[float]) -> dict[str, Any]:
    """An axis that holds 0 and all of `values`, with a tick at 0."""
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.08 * (high - low) or 1.0
    ticks = sorted({0.0, *style.round_values(low - room, high + room, most=5)})
    return style.plain_axis(title, range=[low - room if low < 0 else 0.0, high + room], tickvals=ticks)


def _named(name: str, look: dict[str, str]) -> dict[str, Any]:
    """An entry of the legend that says what a colour, or a marker, stands for; it hides nothing."""
    return {**traces.legend_entry(labels.plotly_text(name), look), "meta": {}}


def _worth(text: str, mine: list[Row], look: dict[str, str], context: int, part: str) -> list[dict[str, Any]]:
    """A family on a text: what it gained at each state, and a doubling, the mean of its seeds and each seed alone."""
    groups = runs.by_state(row for row in mine if _loss(row, context, part) is not None)
    if len(groups) < 2:
        return []
    means = {state: fmean(_losses(group, context, part)) for state, group in groups.items()}
    first = means[min(means)]
    gained = [first - loss for loss in means.values()]
    name = f"<b>{labels.plotly_text(mine[0]['family'])}</b> on {labels.plotly_text(text)}"
    spoken = [
        f"{name}<br>{labels.number(gain, 3)} nats gained, at a loss of {labels.loss(loss)}<br>state {state:,} elements"
        for gain, (state, loss) in zip(gained, means.items(), strict=True)
    ]
    row, worth = labels.plotly_text(text), a_doubling(means)
    alone = _seeds_alone(groups, context, part)
    span = f"{labels.decimal(min(means))} to {labels.decimal(max(means))}"
    says = f"{name}<br>{labels.number(worth, 3)} nats a doubling, from {span}"
    marks, dots = traces.marker(look["symbol"], look["color"], 7.0), traces.marker(look["symbol"], look["color"], 10.0)
    small = {"symbol": look["symbol"], "color": style.faded(look["color"], 0.4), "size": 5}
    right = [
        *([traces.points(alone, [row] * len(alone), small, None)] if len(alone) > 1 else []),
        traces.points([worth], [row], dots, [says]),
    ]
    left = [traces.line(list(means), gained, look), traces.points(list(means), gained, marks, spoken)]
    shown = [*left, *({**trace, "xaxis": "x2", "yaxis": "y2"} for trace in right)]
    return [{**trace, "meta": {"family": mine[0]["family"]}} for trace in shown]


def _seeds_alone(groups: dict[int, list[Row]], context: int, part: str) -> list[float]:
    """Nats a doubling of each seed that was trained at the smallest and at the largest state."""
    ends = [
        {row["seed"]: loss for row in groups[state] if (loss := _loss(row, context, part)) is not None}
        for state in (min(groups), max(groups))
    ]
    both = sorted(ends[0].keys() & ends[1].keys())
    return [a_doubling({min(groups): ends[0][seed], max(groups): ends[1][seed]}) for seed in both]


def _losses(group: Iterable[Row], context: int, part: str) -> list[float]:
    return [loss for row in group if (loss := _loss(row, context, part)) is not None]


def _answers_view(members: list[Row], finished: list[Row], context: int) -> View:
    if not members:
        return {"missing": "No finished run of this size and context was evaluated on this text's answers."}
    every = runs.families(finished)
    data: list[dict[str, Any]] = []
    for family in runs.families(members):
        look, name = style.of_family(family, every), labels.plotly_text(family)
        groups = runs.by_state(row for row in members if row["family"] == family)
        states = list(groups)
        means = [fmean(_losses(group, context, ANSWERS)) for group in groups.values()]
        texts = [
            f"<b>{name}</b><br>{labels.loss(mean)} nats on an answer<br>{hover.of_mean(group, context, None)}"
            for mean, group in zip(means, groups.values(), strict=True)
        ]
        drawn = [traces.legend_entry(name, look), traces.line(states, means, look)]
        alone = [(runs.state(row), _loss(row, context, ANSWERS)) for group in groups.values() for row in group]
        if len(alone) > len(groups):
            small = {"symbol": look["symbol"], "color": style.faded(look["color"], 0.45), "size": 5}
            drawn.append(traces.points([x for x, _ in alone], [y for _, y in alone], small, None))
        drawn.append(traces.points(states, means, traces.marker(look["symbol"], look["color"]), texts))
        data += [{**trace, "legendgroup": name, "meta": {"family": family}} for trace in drawn]
    values = {row["config"]["data"]["recall"]["values"] for row in members}
    chance = [math.log(count) for count in sorted(values)]
    xs = [runs.state(row) for row in members]
    layout = {
        "xaxis": style.decimal_axis("state (elements per sequence)", min(xs), max(xs)),
        "yaxis": {**style.loss_axis("loss on answers (nats per token)"), "rangemode": "tozero"},
        "shapes": [traces.level("y", level) for level in chance],
    }
    note = f"Dotted: {labels.listing([f'ln {count} = {math.log(count):.2f}' for count in sorted(values)])} nats."
    return {"data": data, "layout": layout, "note": note}
