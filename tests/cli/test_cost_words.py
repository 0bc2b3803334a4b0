"""isostate.cli.cost_words: units, and that a sheet fits the screen."""

from __future__ import annotations

import re

import pytest

from isostate.cli import cost_words, main, show
from isostate.costs.preset_table import load_presets


@pytest.mark.parametrize(
    "time_s, text",
    [(2.35e-7, "0.235 µs"), (1.234e-5, "12.3 µs"), (0.0054, "5.4 ms"), (0.9996, "1 s"), (59.4, "59.4 s"),
     (217, "3.62 min"), (5_340, "1.48 h"), (182.4 * 86_400, "182 days"), (1e9, "31.7 years")],
)  # fmt: skip
def test_seconds_are_told_in_the_unit_that_fits(time_s, text):
    assert cost_words.seconds(time_s) == text


def test_amounts_have_their_units():
    assert cost_words.flop(62.9e12) == "62.9 TFLOP"
    assert cost_words.flop(6.21e21) == "6.21e+21 FLOP"
    assert cost_words.amount(13_476_831_232) == "13.5 GB (13,476,831,232 B)"
    assert cost_words.amount(12) == "12 B"
    assert cost_words.dollars(53_600) == "$53.6K"
    assert cost_words.dollars(2e9) == "$2B"


@pytest.mark.slow
@pytest.mark.parametrize("name", load_presets())
@pytest.mark.parametrize("width", [80, 160])
def test_every_presets_sheet_is_one_screen_that_breaks_no_table(name, width, monkeypatch, capsys):
    monkeypatch.setattr(show, "WIDTH", width)
    assert main(["cost", name]) == 0
    told = capsys.readouterr().out
    assert "…" not in told
    lines = [line for line in told.splitlines() if not line.startswith(("alarm:", name))]
    assert max(len(line.rstrip()) for line in lines) <= width
    assert len(lines) <= 56
    for words in ("parameters", "FLOPs", "bytes", "time on h100-sxm", "exact", "estimated", "source"):
        assert f"\n{words}" in told


def test_the_sheet_says_what_bounds_it_and_where_it_turns(capsys):
    assert main(["cost", "llama-3-8b", "--context", "16", "--hardware", "h100"]) == 0
    told = capsys.readouterr().out
    assert "tokens/s, memory-bound (100 % of it)" in told
    assert re.search(r"from batch \d{3}; [\d,]+ sequences fit", told)
    assert main(["cost", "llama-3-8b"]) == 0
    assert "at no batch: at this context reading the state takes longer" in capsys.readouterr().out


def test_published_counts_stand_beside_ours(capsys):
    assert main(["cost", "mixtral-8x7b"]) == 0
    told = capsys.readouterr().out
    assert "46,702,792,704   published 46,702,792,704 met" in told
    assert "12,879,925,248   published 13B met" in told
    assert main(["cost", "gpt2"]) == 0
    assert "117M differs" in capsys.readouterr().out


def test_the_rest_of_the_operators_stands_together():
    row = {"matmul_flops": 10, "other_flops": 0, "moved_bytes": 10, "weight_bytes": 0, "state_bytes": 0}
    rows = [{"name": f"part {i:02}", **row} for i in range(15)]
    drawn = cost_words.operators({"forward": rows})
    assert list(drawn.columns[0].cells)[-1].plain == "5 others"
    assert [cell.plain for cell in drawn.columns[1].cells][-1] == "50"
    assert [cell.plain for cell in drawn.columns[2].cells][-1] == "33.3"
    few = cost_words.operators({"forward": rows[:11]})
    assert len(few.rows) == 11  # one row is not put together with itself
