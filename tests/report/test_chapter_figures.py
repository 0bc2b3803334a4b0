from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.report.chapter_figures import FIGURES, draw
from isostate.report.fits import fit_laws
from tests.report import planted_article, studies


def test_every_figure_has_a_name_of_its_own():
    table = studies.small()
    drawn = {name: draw(name, table, fit_laws(table, studies.STUDY))["id"] for name in FIGURES}
    assert list(drawn) == list(drawn.values())


@pytest.mark.parametrize("table", [[], [studies.diverged()]])
def test_without_a_finished_run_every_figure_says_what_fills_it(table):
    for name in FIGURES.keys() - {"curves"}:
        assert len(draw(name, table, [])["empty"]) > 20, name


def test_an_unknown_figure_is_refused_with_the_nearest():
    with pytest.raises(UserError, match=r"no figure 'positions'.*position"):
        draw("positions", [], [])


def test_the_largest_model_is_shown_alone():
    table = planted_article.sizes()
    drawn = draw("largest", table, [])
    (size,) = drawn["controls"][0]["options"]
    assert size["label"].startswith("3.34M parameters without embedding (4 layers, width 256)")
