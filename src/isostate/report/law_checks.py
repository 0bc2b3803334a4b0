"""How well the laws of a study fit: residuals, profiles and hold-outs of all families, drawn as for any fit alone."""

from __future__ import annotations

from typing import Any

from isostate.laws import Fit
from isostate.report import fit_checks, fit_profiles, fits, hover, labels, style
from isostate.report import rows as runs
from isostate.report.controls import eval_context_control, shared_controls, train_context_control
from isostate.report.rows import Row
from isostate.report.traces import Trace, legend_entry
from isostate.report.views import Figure, View, control, empty, figure

TITLE = "How well the laws fit"
CAPTION = (
    "What the laws in the state leave over, how sharply their points tell the exponent, and whether the fits without "
    "the largest state foresaw its loss."
)
SHOWN = [("residuals", "residuals"), ("profile", "profile of α"), ("holdout", "hold-out")]
NOTES = {
    "residuals": "Observed losses about each law, hollow where they were held out of its test.",
    "profile": "How much worse a law gets when α is held elsewhere: the rise of −2 log likelihood, 1 where the 95 % "
    "interval ends. A flat profile tells nothing.",
    "holdout": "The error of what each law, fitted without its largest state, predicted there, and its 95 % interval: "
    "the law passes where the bar holds 0.",
}
STATE_TITLE = "state (elements per sequence)"

Found = dict[str, Fit]  # by family


def law_checks(table: list[Row], entries: list[dict[str, Any]]) -> Figure:
    """Every combination of size, contexts and condition; the families together, or one of them."""
    finished, entries = runs.drawn(table), fits.of_state(entries)
    if not any(entry["params"] for entry in entries):
        words = 'No law yet: a study asks for one with [[fit]] law = "state", and needs four states a family.'
        return empty("fit", TITLE, CAPTION, words)
    every, conditions = runs.families(finished), runs.conditions(finished)
    names = [("", "all families"), *((family, labels.plain(family)) for family in every)]
    controls = [
        *shared_controls(finished),
        train_context_control(finished, "select"),
        eval_context_control(finished),
        control("shown", "shown", "select", SHOWN),
        {**control("family", "family", "select", names, "filter"), "default": 0},
    ]
    laws = {_key(entry["group"]): fits.read(entry) for entry in entries if entry["params"]}

    def found(**at: Any) -> Found:
        groups = {family: fits.group_of(family, **at, every=conditions) for family in every}
        return {family: laws[_key(group)] for family, group in groups.items() if _key(group) in laws}

    def draw(shown: str, **at: Any) -> View:
        return _view(found(**at), shown, every)

    def weigh(shown: str, **at: Any) -> int:
        return 2 * sum(len(fit.points) for fit in found(**at).values()) + (shown == "residuals")

    return figure("fit", TITLE, CAPTION, controls, draw, weigh)


def _key(group: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(group.values())


def _view(found: Found, shown: str, every: list[str]) -> View:
    if not found:
        return {"missing": "No law here: the table of laws says why."}
    laws = list(found.values())
    if shown == "residuals":
        layout = fit_checks.residual_layout(laws, "S")
        layout["xaxis"] = {**layout["xaxis"], "title": {"text": STATE_TITLE}}
    elif shown == "profile":
        layout = fit_profiles.profile_layout([fit.profiles["alpha"] for fit in laws], "alpha")
    else:
        laws = [fit for fit in laws if fit.holdout is not None]
        if not laws:
            return {"missing": "No hold-out here: too few states to leave the largest out."}
        layout = {**fit_checks.hold_out_layout(), "showlegend": False}
    data = []
    # rows are drawn upwards
    for family, fit in sorted(found.items(), reverse=shown == "holdout"):
        look = style.of_family(family, every)
        name = labels.plotly_text(family)
        shared = {"legendgroup": name, "meta": {"family": family}}
        drawn = [legend_entry(name, look, "lines+markers" if shown == "profile" else "markers")]
        data += [{**trace, **shared} for trace in [*drawn, *_traces(fit, name, shown, look)]]
    return {"data": data, "layout": layout, "note": _note(found, shown), "rows": shown == "holdout"}


def _traces(fit: Fit, name: str, shown: str, look: dict[str, str]) -> list[Trace]:
    if shown == "residuals":
        spoken = [f"<b>{name}</b><br>{text}" for text in hover.of_points(fit)]
        return fit_checks.residual_traces(fit, "S", look, spoken)
    if shown == "profile":
        return fit_profiles.profile_traces(fit.profiles["alpha"], look)
    return fit_checks.hold_out_traces(fit, name, look) if fit.holdout is not None else []


def _note(found: Found, shown: str) -> str:
    """What is shown, and which families are exceptions."""
    exceptions = {
        "residuals": {},
        "profile": {"Open on a side": [family for family, fit in found.items() if fit.profiles["alpha"].open_ends]},
        "holdout": {
            "Missed": [family for family, fit in found.items() if fit.holdout is not None and not fit.holdout.covered],
            "Not tested": [family for family, fit in found.items() if fit.holdout is None],
        },
    }[shown]
    said = [
        f"{words}: {labels.listing([labels.plain(n) for n in names])}." for words, names in exceptions.items() if names
    ]
    return " ".join([NOTES[shown], *said])
