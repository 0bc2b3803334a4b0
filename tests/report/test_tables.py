from __future__ import annotations

import pytest

from isostate.report import tables
from isostate.report.fits import fit_laws
from tests.report import studies


def test_the_summary_has_a_row_a_law_at_the_longest_context():
    table = studies.small()
    rows = tables.summary(table, fit_laws(table, studies.STUDY))
    assert [row["family"] for row in rows] == ["linear", "power-2", "taylor-2", "window"]
    assert list(rows[0]) == ["family", "size", "L_inf", "A", "alpha", "hold-out error"]
    assert rows[0]["size"] == "65.5K parameters without embedding (2 layers, width 64)"
    assert "[" in rows[0]["alpha"]
    assert rows[0]["hold-out error"].endswith("%")


def test_the_summary_names_contexts_where_they_vary():
    table = [studies.run(state=state, context=context) for state in studies.STATES for context in (64, 256)]
    assert [row["train context"] for row in tables.summary(table, fit_laws(table, studies.STUDY))] == ["64", "256"]


def test_a_law_that_failed_is_no_number():
    table = [studies.run(state=state) for state in (2_048, 8_192)]
    fits = fit_laws(table, studies.STUDY)
    (row,) = tables.summary(table, fits)
    assert (row["alpha"], row["hold-out error"]) == ("no fit", "–")
    shown = tables.laws_table(table, fits)
    assert "no fit" in shown
    assert "too few points" in shown


def test_no_law_says_how_to_ask_for_one():
    assert "[[fit]]" in tables.laws_table(studies.small(), [])


def test_every_run_has_its_row_whatever_became_of_it():
    table = studies.full()
    shown = tables.runs_table(table)
    for row in table:
        assert row["run_id"] in shown
    assert "non-finite gradient norm at step 312" in shown
    for status in ("done", "diverged", "running", "pending"):
        assert f'class="{status}"' in shown


def test_no_run_says_how_to_make_one():
    assert "isostate run" in tables.runs_table([])
    assert "No run has started" in tables.where_table([studies.pending()])


def test_environments_are_told_apart_and_counted():
    table = studies.small()
    table[0]["environment"] = {**studies.ENVIRONMENT, "threads": 2}
    table[1]["environment"] = {**studies.ENVIRONMENT, "started": "2026-01-01T11:00:00+00:00"}
    shown = tables.where_table(table)
    assert shown.count("<tbody>") == 2
    assert f">{len(table) - 1}<" in shown
    assert "2026-01-01T11:00:00" in shown
    assert table[0]["config"]["data"]["fingerprint"][:16] in shown


def test_names_are_escaped_and_isolated():
    _, table = studies.hostile()
    shown = tables.runs_table(table) + tables.where_table(table)
    for inert in ("<script", "<img", "<a ", "\u202e", "\u2066"):
        assert inert not in shown
    assert tables.name('<b>"') == "<bdi>&lt;b&gt;&quot;</bdi>"


def test_the_digest_of_the_records_does_not_know_where_they_lie():
    table = studies.small()
    moved = [{**row, "run_dir": "elsewhere"} for row in table]
    assert tables.records_digest(table) == tables.records_digest(moved)
    moved[0]["lr"] = 1.0
    assert tables.records_digest(table) != tables.records_digest(moved)


@pytest.mark.browser
def test_the_runs_are_sorted_by_the_column_that_is_clicked(full_page):
    table = full_page.page.locator("table.runs")
    column = "bodies => bodies.map(body => body.rows[0].cells[8].dataset.sort).filter(Boolean).map(Number)"
    head = table.get_by_role("columnheader").nth(8)
    for direction in ("ascending", "descending"):
        head.get_by_role("button").click()
        losses = table.locator("tbody").evaluate_all(column)
        assert head.get_attribute("aria-sort") == direction
        assert losses == sorted(losses, reverse=direction == "descending")
        last = table.locator("tbody").last.inner_text()
        assert "pending" in last or "running" in last or "diverged" in last  # what is not known comes last
