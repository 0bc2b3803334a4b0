"""What a figure is, as plain JSON: controls, and a plotly drawing for each combination of their options.

{"id", "title", "caption", "empty": words or None, "controls": [control], "views": {"0.1": view}}

control  {"key", "label", "kind": "tabs" | "select" | "slider", "role", "options": [{"value", "label"}], "default"}
role     "view": the option's index is part of the view's key, in the order of the controls;
         "filter": hides traces whose meta[key] is another value ("" shows all but those whose meta has "alone");
         "swap": replaces a trace's x or y by trace["swap"][key][value], and merges view["swap"][key][value] into
         the layout
view     {"data": [trace], "layout": {...}, "note": words, "swap": {...}, "rows": True, "panels": panels}
         or {"missing": words}; "rows" where y are names of rows, of which a few need not fill the height of many
panels   {"titles": [plotly text], "columns": count, "narrow": count on a phone, "shared": all have the same axes}:
         several drawings in one, each with axes of its own (xaxis, yaxis; xaxis2, yaxis2; ...), which page.js lays out
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

Figure = dict[str, Any]
View = dict[str, Any]


def control(key: str, label: str, kind: str, options: list[tuple[Any, str]], role: str = "view") -> dict[str, Any]:
    """A control whose default is its last option: the largest size, the longest context."""
    listed = [{"value": value, "label": text} for value, text in options]
    return {"key": key, "label": label, "kind": kind, "role": role, "options": listed, "default": len(listed) - 1}


def figure(
    identity: str,
    title: str,
    caption: str,
    controls: list[dict[str, Any]],
    draw: Callable[..., View],
    weigh: Callable[..., int],
) -> Figure:
    """Draws every combination of the view controls' options and opens the one with the most runs.

    `draw` and `weigh` take the options' values by the controls' keys; `draw` gives a view, `weigh` a number of runs.
    Of combinations that weigh the same, the later wins: the larger size, the longer context.
    """
    choosing = [entry for entry in controls if entry["role"] == "view"]
    keys = [entry["key"] for entry in choosing]
    views, best, heaviest = {}, None, -1
    for indices in itertools.product(*(range(len(entry["options"])) for entry in choosing)):
        values = {key: entry["options"][i]["value"] for key, entry, i in zip(keys, choosing, indices, strict=True)}
        views[".".join(map(str, indices))] = draw(**values)
        weight = weigh(**values)
        if weight >= heaviest:
            best, heaviest = indices, weight
    opened = dict(zip(keys, best or (), strict=True))
    for entry in controls:
        entry["default"] = opened.get(entry["key"], entry["default"])
        for option in entry["options"]:
            option["value"] = str(option["value"])
    return {
        "id": identity,
        "title": title,
        "caption": caption,
        "empty": None,
        "controls": controls,
        "views": views,
    }


def empty(identity: str, title: str, caption: str, words: str) -> Figure:
    """A figure without data: in words, what study would fill it."""
    return {"id": identity, "title": title, "caption": caption, "empty": words, "controls": [], "views": {}}
