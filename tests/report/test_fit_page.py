from __future__ import annotations

import re
from dataclasses import replace

import pytest

from isostate.laws import LAWS, Interval
from isostate.report.fit_figures import fit_panels
from isostate.report.fit_page import equation, facts, render_fit, values_table
from tests.report.planted_fits import failed, made
from tests.report.studies import HOSTILE


@pytest.mark.parametrize(
    "text, html",
    [("L(N, D) = E + A N^-alpha + B D^-beta", "L(N, D) = E + A N<sup>−α</sup> + B D<sup>−β</sup>"),
     ("L(S) = L_inf + A S^-alpha", "L(S) = L∞ + A S<sup>−α</sup>"),
     ("B_crit(L) = B_star L^(-1/alpha_B)", "B_crit(L) = B_star L<sup>(−1/α_B)</sup>"),
     ("D^(-exp(A N^a + E))", "D<sup>(−exp(A N^a + E))</sup>"),
     ("L = x < 1 & <b>", "L = x &lt; 1 &amp; &lt;b&gt;")],
)  # fmt: skip
def test_equations_are_written_by_hand(text, html):
    assert equation(text) == html


@pytest.mark.parametrize("name", LAWS)
def test_every_equation_is_balanced_html(name):
    shown = equation(LAWS[name].equation)
    assert shown.count("<sup>") == shown.count("</sup>")
    assert shown.count("(") == shown.count(")")


def test_the_head_says_how_the_law_was_fitted():
    words = facts(made("chinchilla"))
    assert words == (
        "36 points (1 held out of the test) · sum of squares of the log residual = 0.0123456 · "
        "60 of 64 starts reached the optimum"
    )


def test_parameters_and_what_follows_stand_with_their_intervals():
    table = values_table(made("chinchilla"))
    assert "<bdi>α</bdi>" in table
    assert ">0.3478<" in table
    assert "[0.334, 0.362]" in table  # two standard errors of 2 % to either side
    assert "<bdi>G</bdi> <small>follows</small>" in table
    assert "Intervals: percentile bootstrap, case." in table


def test_a_column_that_would_say_nothing_new_is_left_out():
    fit = made("state")
    assert "profile interval" not in values_table(fit)  # the parabolas' are the parameters' own
    own = {"alpha": replace(fit.profiles["alpha"], interval=Interval(0.3, 0.25, None))}
    assert '<td data-sort="0.25">[0.25, –]</td>' in values_table(replace(fit, profiles=own))
    bare = {name: Interval(interval.value) for name, interval in fit.params.items()}
    table = values_table(replace(fit, params=bare, profiles={}))
    assert "standard" not in table
    assert '<td data-sort="">–</td>' in table


def test_a_fit_that_failed_has_words_in_the_tables_place():
    page = render_fit(failed("state"), fit_panels(failed("state")))
    assert "No fit: the alarms say why" in page
    assert '<p class="alarms">too few points.</p><p class="advice">train more sizes.</p>' in page


def test_only_the_pages_own_scripts_may_run_and_nothing_is_loaded():
    page = render_fit(made("chinchilla"), fit_panels(made("chinchilla")))
    assert len(re.findall(r"'sha256-[^']+'", page)) == 2
    assert "default-src 'none'" in page
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href|url|@import|srcset)\s*[=(]", own)


def test_hostile_names_stay_text():
    fit = made("state")
    names = list(HOSTILE.values())
    law = replace(fit.law, name=names[0], equation=names[1], source=names[2])
    hostile = replace(
        fit, law=law, objective=names[1], interval_method=names[3], alarms=(names[4],), advice=(names[0],)
    )
    page = render_fit(hostile, fit_panels(hostile))
    outside = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "<img" not in outside
    assert "<a " not in outside
    assert not set("\u202e\u2066\u2028") & set(page)
