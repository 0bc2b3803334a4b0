"""Ours beside published points: on axes that go equally far, in numbers that the article tells too."""

from __future__ import annotations

import math

import pytest

from isostate.report import questions, style
from isostate.report.published import beside_published
from isostate.report.questions import a_doubling
from tests.report import planted_article, studies
from tests.report.test_figures import opened


@pytest.fixture(scope="module")
def view():
    return opened(beside_published(planted_article.state_laws()))


def theirs(view):
    return next(trace for trace in view["data"] if trace.get("xaxis") == "x2" and trace["mode"] == "markers+text")


def test_the_published_points_are_those_of_the_questions(view):
    trace = theirs(view)
    assert list(zip(trace["text"], trace["x"], trace["y"], strict=True)) == list(questions.PUBLISHED)


def test_both_panels_go_equally_far_from_their_smallest_state_and_highest_loss(view):
    layout = view["layout"]
    spans = [layout[axis]["range"][1] - layout[axis]["range"][0] for axis in ("xaxis", "xaxis2", "yaxis", "yaxis2")]
    assert spans[0] == pytest.approx(spans[1])
    assert spans[2] == pytest.approx(spans[3])
    starts = [math.log10(smallest) - layout[axis]["range"][0] for axis, smallest in (("xaxis", 1_280), ("xaxis2", 6e5))]
    assert starts[0] == pytest.approx(starts[1])
    for axis, losses in (("yaxis", ours(view)), ("yaxis2", theirs(view)["y"])):
        low, high = layout[axis]["range"]
        assert low < min(losses) < max(losses) < high


def ours(view):
    return [y for trace in view["data"] if "xaxis" not in trace for y in trace["y"] if y is not None]


def test_a_published_point_has_the_colour_of_the_family_that_is_alike(view):
    names = sorted(planted_article.STATES)
    colours = dict(zip(theirs(view)["text"], theirs(view)["marker"]["color"], strict=True))
    assert colours["power-2"] == style.of_family("power-2", names)["color"]
    assert colours["power-4"] == style.of_family("power-4-gated", names)["color"]
    assert colours["power-6"] == style.NEUTRAL


def test_a_doubling_gains_what_the_questions_say():
    steps = [point["nats_a_doubling_from_the_last"] for point in questions.published()[1:]]
    for (_, low, first), (_, high, second), step in zip(
        questions.PUBLISHED, questions.PUBLISHED[1:], steps, strict=False
    ):
        assert a_doubling({low: first, high: second}) == pytest.approx(step)


def test_slopes_are_said_for_both(view):
    assert "0.097, 0.045, 0.005 and 0.004." in view["note"]
    assert "window 0.0" in view["note"]


def test_one_state_has_a_point_and_no_slope():
    view = opened(beside_published([studies.run()]))
    assert "Here" not in view["note"]
    assert len(theirs(view)["x"]) == 5


def test_without_runs_it_says_so():
    assert "No run has finished" in beside_published([studies.pending()])["empty"]
