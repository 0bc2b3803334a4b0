"""A panel a family: points, spread, law, floor, hold-out, on axes that all panels share."""

from __future__ import annotations

import math

import pytest

from isostate.report.fits import fit_laws
from isostate.report.law_panels import law_of_each_family, panels_of
from tests.report import planted_article, studies
from tests.report.test_figures import opened


@pytest.fixture(scope="module")
def rows():
    wanted = ("window", "power-2", "power-2-gated")
    return [row for row in planted_article.state_laws() if row["family"] in wanted]


@pytest.fixture(scope="module")
def laws(rows):
    return fit_laws(rows, studies.STUDY)


def of_panel(view, place, **where):
    axis = f"x{place}" if place > 1 else "x"
    found = [trace for trace in view["data"] if trace.get("xaxis", "x") == axis]
    return [trace for trace in found if all(trace["meta"][key] == value for key, value in where.items())]


def test_a_gated_family_shares_the_panel_of_the_ungated_one():
    assert panels_of(["linear", "mamba2", "power-2", "power-2-gated"]) == {
        "linear": ["linear"], "mamba2": ["mamba2"], "power-2": ["power-2", "power-2-gated"],
    }  # fmt: skip


def test_each_panel_is_headed_by_its_families_with_their_laws(rows, laws):
    view = opened(law_of_each_family(rows, laws))
    first, second = view["panels"]["titles"]
    assert first.index("● power-2<") < first.index("⬟ power-2-gated<")
    place = {"family": "window", "size": "4x64", "train_context": 256, "eval_context": 1_024}
    law = next(fit for fit in laws if place.items() <= fit["group"].items())
    values = [law["params"][name]["value"] for name in ("L_inf", "alpha")]
    assert second.endswith("window</span></b> L∞ {:.2f}, α {:.2f}".format(*values))


def test_with_and_without_a_gate_one_panel_has_one_colour_two_markers_and_two_dashes(rows, laws):
    view = opened(law_of_each_family(rows, laws))
    looks = []
    for family in ("power-2", "power-2-gated"):
        traces = of_panel(view, 1, family=family)
        (points,) = [trace for trace in traces if len(trace["x"]) == 6]
        lines = [trace["line"] for trace in traces if trace.get("line", {}).get("dash", "dot") != "dot"]
        looks.append((points["marker"]["color"], points["marker"]["symbol"][0], *(line["dash"] for line in lines)))
    (colour, *first), (same, *second) = looks
    assert colour == same
    assert (first, second) == (["circle", "solid"], ["pentagon", "dash"])


def test_points_are_means_with_the_standard_deviation_of_their_seeds(rows, laws):
    (points,) = [t for t in of_panel(opened(law_of_each_family(rows, laws)), 2) if len(t["x"]) == 6]
    seeds = [row["final"]["1024"]["loss_nats"] for row in rows
             if (row["family"], row["state"]["elements"], row["d_model"]) == ("window", 2_816, 64)]  # fmt: skip
    mean = sum(seeds) / 3
    assert len(seeds) == 3
    assert points["y"][1] == pytest.approx(mean)
    assert points["error_y"]["array"][1] == pytest.approx(math.sqrt(sum((y - mean) ** 2 for y in seeds) / 2))


def test_the_held_out_state_is_hollow_and_its_prediction_stands_beside_it(rows, laws):
    traces = of_panel(opened(law_of_each_family(rows, laws)), 2)
    (points,) = [t for t in traces if len(t["x"]) == 6]
    hollow = [x for x, symbol in zip(points["x"], points["marker"]["symbol"], strict=True) if symbol.endswith("-open")]
    assert hollow == [131_840]
    bars = [t for t in traces if len(t["x"]) == 1]
    assert [hollow[0] < bar["x"][0] < 1.3 * hollow[0] for bar in bars] == [True]


def test_a_dotted_line_is_the_floor_of_the_law(rows, laws):
    view = opened(law_of_each_family(rows, laws))
    (floor,) = [t for t in of_panel(view, 2) if t.get("line", {}).get("dash") == "dot"]
    place = {"family": "window", "size": "4x64", "train_context": 256, "eval_context": 1_024}
    law = next(fit for fit in laws if place.items() <= fit["group"].items())
    assert set(floor["y"]) == {law["params"]["L_inf"]["value"]}


def test_all_panels_have_the_same_axes_and_say_which_floor_lies_below(rows, laws):
    view = opened(law_of_each_family(rows, laws))
    assert view["layout"]["xaxis"] == view["layout"]["xaxis2"]
    assert view["layout"]["yaxis"] == view["layout"]["yaxis2"]
    deep = [{**fit, "params": {**fit["params"], "L_inf": {**fit["params"]["L_inf"], "value": 0.1}}}
            if fit["group"]["family"] == "window" else fit for fit in laws]  # fmt: skip
    assert opened(law_of_each_family(rows, deep))["note"] == "The floor lies below the axis for window."


def test_a_family_without_a_law_has_its_points_joined():
    rows = [studies.run("window", state=state) for state in (2_048, 8_192)]
    view = opened(law_of_each_family(rows, fit_laws(rows, studies.STUDY)))
    assert view["panels"]["titles"][0].endswith("no law")
    assert [trace["mode"] for trace in view["data"]] == ["lines", "markers"]
