"""isostate.cli.show."""

from __future__ import annotations

import json

import pytest

from isostate.cli import show


@pytest.mark.parametrize(
    "number, text", [(0, "0"), (999, "999"), (999.6, "1K"), (1234, "1.23K"), (5e9, "5G"), (2e18, "2E")]
)
def test_numbers_have_three_digits(number, text):
    assert show.decimal(number) == text


@pytest.mark.parametrize("n_bytes, text", [(12, "12 B"), (2048, "2 KB"), (3 * 2**20, "3 MB"), (5 * 2**30, "5 GB")])
def test_bytes_are_counted_in_1024s(n_bytes, text):
    assert show.binary_bytes(n_bytes) == text


@pytest.mark.parametrize(
    "seconds, text", [(0.2, "0 s"), (59.7, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations_are_read_at_a_glance(seconds, text):
    assert show.duration(seconds) == text


def test_small_words():
    assert (show.plural(1, "run"), show.plural(2000, "run")) == ("1 run", "2,000 runs")
    assert (show.percent(None), show.percent(-0.0312)) == ("", "-3.1 %")


def test_names_are_shown_as_they_are(capsys):
    show.console().print(show.table(["[b]head[/b]", "n"], [["[red]a[/red]", "1"]]))
    told = capsys.readouterr().out
    assert "[b]head[/b]" in told
    assert "[red]a[/red]" in told


def test_json_is_one_line(capsys):
    show.print_json({"b": [1, 2], "a": "x\ny"})
    told = capsys.readouterr().out
    assert told.count("\n") == 1
    assert json.loads(told) == {"a": "x\ny", "b": [1, 2]}


def test_waiting_says_nothing_where_nobody_watches(capsys):
    with show.waiting("fitting"):
        print("done")
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("done\n", "")
