"""isostate.cli.cost_sweep: rows, table, files."""

from __future__ import annotations

import itertools
import json

import pytest

from isostate.cli import main, show


def swept(arguments, capsys):
    assert main(["cost", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_row_is_the_sheet_at_that_context(capsys):
    found = swept(["llama-2-7b", "--sweep", "context", "1k..1M"], capsys)
    assert [row["context"] for row in found["rows"]] == [2**power for power in range(10, 21)]
    assert main(["cost", "llama-2-7b", "--context", "8k", "--json"]) == 0
    sheet = json.loads(capsys.readouterr().out)
    assert {"context": 8192, **sheet["numbers"]} == found["rows"][3]


def test_state_grows_with_context_and_throughput_with_batch(capsys):
    rows = swept(["llama-2-7b", "--sweep", "context", "1k..64k"], capsys)["rows"]
    assert all(b["state.sequence_bytes"] == 2 * a["state.sequence_bytes"] for a, b in itertools.pairwise(rows))
    rows = swept(["llama-2-7b", "--sweep", "batch", "1..100"], capsys)["rows"]
    assert [row["batch"] for row in rows] == [1, 2, 4, 8, 16, 32, 64, 100]
    rates = [row["decode.tokens_per_s"] for row in rows]
    assert rates == sorted(rates)
    flat = swept(["mamba-2.8b", "--sweep", "context", "1k..1M"], capsys)["rows"]
    assert len({row["state.sequence_bytes"] for row in flat}) == 1


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("model", ["llama-2-7b", "deepseek-v3", "mamba-2.8b"])
def test_the_table_fits_and_says_what_memory_holds(width, model, monkeypatch, capsys):
    monkeypatch.setattr(show, "WIDTH", width)
    assert main(["cost", model, "--sweep", "context", "1k..1M"]) == 0
    told = capsys.readouterr().out
    assert "…" not in told
    assert max(len(line.rstrip()) for line in told.splitlines()) <= width
    if model == "llama-2-7b":
        fits = {line.split()[0]: line.split()[-1] for line in told.splitlines()[2:]}
        assert fits["131,072"] == "yes"
        assert fits["262,144"] == "no"


def test_a_model_of_images_is_swept_over_batches(capsys):
    assert main(["cost", "vit-b-16", "--sweep", "batch", "1..8"]) == 0
    assert "decode" not in capsys.readouterr().out


def test_the_figure_is_written_in_the_formats_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    sweep = ["cost", "mistral-7b", "--sweep", "context", "1k..64k", "--out", "drawn"]
    assert main([*sweep, "--formats", "html, svg"]) == 0
    assert "wrote drawn/sweep-context.svg" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "drawn").iterdir()) == ["sweep-context.html", "sweep-context.svg"]
    assert main([*sweep, "--formats", "pgn"]) == 2
    assert "no figures as 'pgn' (did you mean \"png\"?)" in capsys.readouterr().err
