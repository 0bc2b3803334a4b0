"""isostate.cli.law_lists."""

from __future__ import annotations

import json

from isostate.cli import main
from isostate.laws import LAWS
from isostate.laws.registry import PUBLISHED


def test_the_laws_are_listed_with_what_they_read(capsys):
    assert main(["fit", "--laws"]) == 0
    told = capsys.readouterr().out
    for law in LAWS.values():
        assert f"{law.name}  {law.equation}" in told
    assert "N (parameters), D (tokens) to L (loss); by huber; Hoffmann et al. 2022" in told


def test_the_published_fits_are_listed_with_their_values(capsys):
    for verb in ("fit", "allocate"):
        assert main([verb, "--public", "list"]) == 0
        told = capsys.readouterr().out
        for fit in PUBLISHED.values():
            assert f"{fit.name}  {fit.law.name}: " in told
        assert "E 1.8172, A 482.01, B 2085.4, alpha 0.3478, beta 0.3658" in told


def test_both_lists_come_as_json(capsys):
    assert main(["fit", "--laws", "--json"]) == 0
    assert [law["name"] for law in json.loads(capsys.readouterr().out)] == list(LAWS)
    assert main(["fit", "--public", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["epoch-chinchilla"]["values"] == PUBLISHED["epoch-chinchilla"].values
    assert rows["kaplan"]["table"] is None
