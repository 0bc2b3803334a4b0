"""Every figure of a fit in one call: data and law, residuals, profiles, hold-out, bootstrap, as HTML, PNG and SVG.

`fit_panels` describes them (views.Figure: plain JSON that plotly draws), `write_figures` writes them. The HTML is one
page that holds plotly itself and asks nothing of the network; PNG and SVG are drawn from the same descriptions by
matplotlib, the optional extra [figures].
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from isostate.config import UserError, nearest
from isostate.laws import Fit
from isostate.laws.result import ParameterProfile
from isostate.records import durable
from isostate.report import fit_checks, fit_data, fit_profiles, static
from isostate.report.fit_page import render_fit
from isostate.report.fit_plane import plane
from isostate.report.views import Figure

FORMATS = ("html", "png", "svg")


def fit_panels(fit: Fit, profiles: Mapping[str, ParameterProfile] | None = None) -> list[Figure]:
    """The figures of any fit. One that failed has its points alone; `profiles` stand in for the fit's own."""
    data = fit_data.against_inputs(fit)
    if not fit.params:
        return [data]
    many = [fit_checks.against_predicted(fit)] if len(fit.law.inputs) > 1 else []
    return [
        data,
        *([plane(fit)] if len(fit.law.inputs) == 2 else []),
        *many,
        fit_checks.residuals(fit),
        fit_profiles.profile_panels(fit, profiles),
        fit_checks.hold_out(fit),
        fit_profiles.bootstrap(fit),
    ]


def write_figures(
    fit: Fit,
    folder: Path,
    formats: Sequence[str] = FORMATS,
    *,
    profiles: Mapping[str, ParameterProfile] | None = None,
) -> list[Path]:
    """Writes LAW.html with all figures, and LAW-FIGURE.png and .svg for each that shows something.

    Makes `folder`. Returns the paths. Raises UserError for another format, or for an image without matplotlib.
    """
    for name in formats:
        if name not in FORMATS:
            raise UserError(f"no figures as {name!r}{nearest(name, FORMATS)}; allowed: {', '.join(FORMATS)}")
    panels = fit_panels(fit, profiles)
    stem = re.sub(r"[^\w.-]+", "-", fit.law.name)
    files: dict[str, bytes] = {}
    if "html" in formats:
        files[f"{stem}.html"] = render_fit(fit, panels).encode()
    for kind in (name for name in formats if name != "html"):
        for panel in panels:
            if not panel["empty"]:
                files[f"{stem}-{panel['id']}.{kind}"] = static.image(panel, kind)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        durable.write_atomic(folder / name, content)
    return [folder / name for name in files]
