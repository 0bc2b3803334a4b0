"""isostate.cli.cost_compared: two models line beside line."""

from __future__ import annotations

import json

from isostate.cli import main
from tests.cli.test_cost import OURS, answer


def test_two_stand_side_by_side(capsys):
    pair = answer(["--compare", "llama-2-7b", "mamba-2.8b"], capsys)
    assert [one["model"] for one in pair] == ["llama-2-7b", "mamba-2.8b"]
    assert [one["setting"]["context"] for one in pair] == [2048, 2048]  # the longest that both were made for
    own = answer(["--compare", "vit-b-16", "gpt2"], capsys)
    assert [one["setting"]["context"] for one in own] == [197, 1024]
    assert main(["cost", "--compare", "llama-2-7b", "mamba-2.8b"]) == 0
    told = capsys.readouterr().out
    row = next(line for line in told.splitlines() if line.startswith("parameters"))
    assert row.split() == ["parameters", "6,738,415,616", "2,768,345,600", "0.411", "x"]


def test_two_are_compared_in_what_either_has(tmp_path, capsys):
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(OURS))
    assert main(["cost", "--compare", str(path), "gpt2"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("peak of a step"))
    assert row.split()[-1] == "–"
    assert main(["cost", "--compare", "gpt-1", "gpt2"]) == 0
    assert "peak of a step" not in capsys.readouterr().out
    assert main(["cost", "--compare", "gpt2", "gpt2-medium", "--recompute", "blocks"]) == 0
    row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("kept activations"))
    assert row.split()[-1] == "x"
