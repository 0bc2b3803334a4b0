"""isostate.cli.next."""

from __future__ import annotations

import json

import pytest

from isostate.cli import main
from isostate.cli.next import cost_of
from isostate.config import UserError
from isostate.laws import LAWS
from isostate.laws.planning import next_run, runs_needed
from isostate.laws.saved import read_saved
from tests.laws.rows import planted_rows, write

TARGET = ["--target", "N=1e11,D=2e12"]
GRID = ["--candidates", "N=1e8:1e10:3,D=1e10:1e12:3"]
FIT = ["next", "--fit", "fit.json"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    write(folder / "runs.csv", planted_rows("chinchilla", sd=0.01))
    fit = ["fit", str(folder / "runs.csv"), "--law", "chinchilla", "--bootstrap", "100", "--out", str(folder)]
    assert main(fit) == 0
    return folder


@pytest.fixture
def here(made, monkeypatch, capsys):
    monkeypatch.chdir(made)
    capsys.readouterr()
    return made


def answer(arguments, capsys):
    assert main([*arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_candidates_are_a_grid_with_costs_best_first(here, capsys):
    found = answer([*FIT, *TARGET, *GRID], capsys)
    ranked = found["ranked"]
    sizes = {(round(run["inputs"]["N"]), round(run["inputs"]["D"])) for run in ranked}
    assert sizes == {(n, d) for n in (10**8, 10**9, 10**10) for d in (10**10, 10**11, 10**12)}
    for run in ranked:
        assert run["cost"] == pytest.approx(6 * run["inputs"]["N"] * run["inputs"]["D"])
        assert run["gain_per_cost"] == pytest.approx((run["before"] - run["after"]) / run["cost"])
        assert run["before"] == found["half_width"] > run["after"] > 0
    assert [run["gain_per_cost"] for run in ranked] == sorted((run["gain_per_cost"] for run in ranked), reverse=True)
    columns = {s: [run["inputs"][s] for run in ranked] for s in "ND"}
    library = next_run(read_saved(here / "fit.json"), {"N": 1e11, "D": 2e12}, columns)
    assert [run.to_dict() for run in library] == ranked
    assert any("extrapolating: N = 1e+11 is 10.0 times the largest run" in alarm for alarm in found["alarms"])


def test_so_many_runs_make_a_precision(here, capsys):
    before = answer([*FIT, *TARGET, *GRID], capsys)["half_width"]
    found = answer([*FIT, *TARGET, *GRID, "--within", repr(0.8 * before)], capsys)
    needed = found["needed"]
    assert needed[-1]["after"] <= 0.8 * before < needed[-1]["before"]
    assert found["needed_cost"] == pytest.approx(sum(6 * run["inputs"]["N"] * run["inputs"]["D"] for run in needed))
    columns = {s: [run["inputs"][s] for run in found["ranked"]] for s in "ND"}
    library = runs_needed(read_saved(here / "fit.json"), {"N": 1e11, "D": 2e12}, 0.8 * before, columns)
    assert [run.to_dict() for run in library] == needed
    assert main([*FIT, *TARGET, *GRID, "--within", repr(0.8 * before)]) == 0
    told = capsys.readouterr().out
    assert f"{len(needed)} run" in told
    assert "FLOPs in all:" in told
    assert main([*FIT, *TARGET, *GRID, "--within", "0.9"]) == 0
    assert "known to +- 90 % already: no run is needed" in capsys.readouterr().out


def test_words_name_the_prediction_the_cost_and_what_narrows_most(here, capsys):
    assert main([*FIT, *TARGET, *GRID, "--top", "2"]) == 0
    told = capsys.readouterr().out
    for words in ("N = 1e11, D = 2e12", "6 N D FLOPs", "then known to +-", "whatever it costs", "gain per cost"):
        assert words in told
    assert len(told.split("whatever")[0].strip().splitlines()) == 4 + 1 + 1 + 2


def test_without_candidates_the_tables_own_range_is_tried(here, capsys):
    found = answer([*FIT, "--target", "n_params=1e10,n_tokens=1e12"], capsys)
    sizes = {run["inputs"]["N"] for run in found["ranked"]}
    assert len(sizes) == 8
    assert (min(sizes), max(sizes)) == pytest.approx((5e7, 1e10))
    assert found["alarms"] == []


def test_a_law_in_one_resource_counts_runs_or_takes_the_other_from_at(here, capsys):
    write(here / "sizes.csv", planted_rows("params", sd=0.002))
    options = ["next", "sizes.csv", "--law", "params", "--target", "N=1e11", "--candidates", "N=1e7:1e10:4"]
    alike = answer(options, capsys)
    assert alike["cost_unit"] == "runs"
    assert alike["ranked"][0]["inputs"]["N"] == 1e10  # where a run counts as one, the largest tells most
    paid = answer([*options, "--at", "D=1e10"], capsys)
    assert paid["ranked"][0]["cost"] == pytest.approx(6 * paid["ranked"][0]["inputs"]["N"] * 1e10)
    assert main(options) == 0
    assert "every run counts alike" in capsys.readouterr().out


def test_costs_are_flops_where_the_inputs_or_at_say_them():
    assert cost_of(LAWS["compute"], {"C": [1e20, 1e21]}, {}, 2) == ([1e20, 1e21], "FLOPs")
    assert cost_of(LAWS["chinchilla"], {"N": [2.0], "D": [5.0]}, {}, 1) == ([60.0], "FLOPs")
    assert cost_of(LAWS["tokens"], {"D": [5.0]}, {"N": 2.0}, 1) == ([60.0], "FLOPs")
    assert cost_of(LAWS["state"], {"S": [5.0]}, {}, 1) == ([1.0], "runs")
    for at in ({"S": 1.0}, {"N": 1.0}):
        with pytest.raises(UserError, match="--at"):
            cost_of(LAWS["chinchilla"], {"N": [2.0], "D": [5.0]}, at, 1)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (FIT, "Missing option '--target'"),
        (["next", *TARGET], "by which law? give a TABLE with --law"),
        ([*FIT, "--target", "N=1e11"], "--target leaves out D; law 'chinchilla' takes N, D"),
        ([*FIT, "--target", "N=1e11,D=0"], "--target: 0 is not a positive finite number"),
        ([*FIT, "--target", "N=1e11,D=1,S=1"], "has no input 'S'"),
        ([*FIT, *TARGET, "--candidates", "N=1e8:1e10:8"], "--candidates leaves out D"),
        ([*FIT, *TARGET, "--candidates", "N=1e8:1e10,D=1"], "expected LOW:HIGH:COUNT"),
        ([*FIT, *TARGET, "--candidates", "N=1:2:200,D=1:2:200"], "40,000 runs to choose from"),
        ([*FIT, *TARGET, *GRID, "--within", "0"], "--within: 0 is not a positive finite number"),
        ([*FIT, *TARGET, *GRID, "--within", "1e-9"], "out of reach of these candidates"),
        ([*FIT, *TARGET, "--top", "0"], "Invalid value for '--top'"),
        ([*FIT, *TARGET, "--where", "N>1"], "holds a finished fit; leave --where out"),
        (["next", "--public", "kaplan", *TARGET], "No such option: --public"),
        (["next", "one.csv", "--law", "chinchilla", *TARGET], "the fit of 'chinchilla' failed (too few points"),
    ],
)
def test_a_mistake_is_one_line(arguments, words, here, capsys):
    write(here / "one.csv", planted_rows("chinchilla")[:1])
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
