"""isostate.cli.fit."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.error

import numpy as np
import pytest

from isostate.cli import fit as fit_verb
from isostate.cli import main
from isostate.cli.law_words import number
from isostate.laws import LAWS, fit_law, registry
from isostate.laws.registry import published
from tests.laws.public import FOLDER, needs_tables
from tests.laws.rows import planted_rows, write

EPOCH = FOLDER / "epoch_chinchilla" / "svg_extracted_data.csv"
FROM_COMPUTE = "N=Model Size,C=Training FLOP"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "runs.csv", planted_rows("chinchilla", sd=0.003))
    return tmp_path


def answer(arguments, capsys, code=0):
    assert main([*arguments, "--json"]) == code
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.count("\n") == 1
    return json.loads(captured.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


@needs_tables
def test_the_epoch_table_gives_the_summed_huber_optimum_of_its_240_points(capsys):
    losses = sorted(float(line.rsplit(",", 1)[1]) for line in EPOCH.read_text().splitlines()[1:])
    kept = f"loss<{losses[-5]!r}"  # the five largest are dropped, as Besiroglu et al. do
    fit = ["fit", str(EPOCH), "--law", "chinchilla", "--x", FROM_COMPUTE, "--where", kept, "--bootstrap", "0"]
    found = answer(fit, capsys)
    assert len(found["points"]) == 240
    assert found["objective_value"] == pytest.approx(0.00101827402, abs=1e-9)
    want = {"A": 477.83, "B": 2143.4, "E": 1.81722, "alpha": 0.34731, "beta": 0.36717}
    assert {name: found["params"][name]["value"] for name in want} == pytest.approx(want, rel=2e-4)
    assert found["derived"]["a"]["value"] == pytest.approx(0.5139, abs=1e-4)
    whole = answer(["fit", str(EPOCH), "--law", "chinchilla", "--x", FROM_COMPUTE, "--bootstrap", "0"], capsys)
    assert abs(whole["params"]["E"]["value"] - want["E"]) > 0.01  # the five points matter


@needs_tables
def test_least_squares_below_1e21_is_the_published_projection(capsys):
    fit = ["fit", str(EPOCH), "--law", "chinchilla", "--x", FROM_COMPUTE, "--where", "Training FLOP<1e21"]
    losses = sorted(float(line.rsplit(",", 1)[1]) for line in EPOCH.read_text().splitlines()[1:])
    options = ["--where", f"loss<{losses[-5]!r}", "--objective", "squares", "--bootstrap", "0"]
    found = answer([*fit, *options], capsys)
    values = {name: row["value"] for name, row in found["params"].items()}
    assert len(found["points"]) == 217
    assert found["objective_value"] == pytest.approx(0.062414, abs=1e-6)
    scaled = {"A": values["A"] * 1e6 ** -values["alpha"], "B": values["B"] * 1e9 ** -values["beta"]}
    got = {**values, **scaled}
    assert got == pytest.approx({"E": 1.9051, "A": 4.0005, "B": 1.0509, "alpha": 0.3511, "beta": 0.4587}, abs=6e-5)


@pytest.mark.slow
@needs_tables
def test_a_published_fit_is_set_beside_ours(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "runs" / ".cache" / "tables"
    cache.mkdir(parents=True)
    shutil.copy(EPOCH, cache / f"{published('epoch-chinchilla').table.sha256[:12]}-svg_extracted_data.csv")
    fit = ["fit", "--public", "epoch-chinchilla", "--bootstrap", "100", "--holdout", "none"]
    found = answer(fit, capsys)
    assert found["public"]["name"] == "epoch-chinchilla"
    assert max(abs(row["relative"]) for row in found["public"]["rows"]) < 5e-4
    assert main([*fit, "--bootstrap", "0"]) == 0
    told = capsys.readouterr().out
    assert "482.01" in told
    assert "0.3658 (0.331 to 0.415)" in told
    assert "Besiroglu et al. 2024" in told
    theirs = answer(["fit", "--public", "hoffmann-chinchilla", "--bootstrap", "0"], capsys)["public"]["rows"]
    assert max(abs(row["relative"]) for row in theirs) > 1.0  # their B is not what their points say
    half = answer([*fit, "--where", "D>1e10", "--cache", str(cache), "--bootstrap", "0"], capsys)
    assert len(half["points"]) < 240


def test_a_download_that_fails_is_one_line_that_says_where_the_file_belongs(here, monkeypatch, capsys):
    def refuse(address, timeout):
        raise urllib.error.URLError(OSError("no\nname server"))

    monkeypatch.setattr(registry.urllib.request, "urlopen", refuse)
    assert main(["fit", "--public", "epoch-chinchilla", "--cache", "tables"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "cannot fetch https://raw.githubusercontent.com/epoch-research" in told
    assert told.endswith("put the file at tables/193478df4e90-svg_extracted_data.csv by hand\n")


def test_json_is_what_the_library_gives(here, capsys):
    rows = planted_rows("chinchilla", sd=0.003)
    x = {"N": [row["n_params"] for row in rows], "D": [row["n_tokens"] for row in rows]}
    own = fit_law(LAWS["chinchilla"], x, [row["loss"] for row in rows], bootstrap=200, seed=3).to_dict()
    found = answer(["fit", "runs.csv", "--law", "chinchilla", "--bootstrap", "200", "--seed", "3"], capsys)
    assert {key: found[key] for key in own} == json.loads(json.dumps(own))
    assert len(found["draws"]) == 200
    np.testing.assert_allclose(
        found["params"]["E"]["se"], np.std([row[0] for row in found["draws"]], ddof=1), rtol=1e-6
    )


def test_the_answer_in_words_has_the_law_its_numbers_and_its_columns(here, capsys):
    assert main(["fit", "runs.csv", "--law", "chinchilla", "--bootstrap", "100", "--where", "loss<3"]) == 0
    told = capsys.readouterr().out
    for words in ("L(N, D) = E + A N^-alpha + B D^-beta", "runs.csv, ", "N = n_params (parameters), D = n_tokens (",
                  "rows by --where", "standard error", "objective", "starts", "hold-out", "95 %"):  # fmt: skip
        assert words in told
    assert max(map(len, told.splitlines())) <= 160


def test_options_reach_the_fit(here, capsys):
    fit = ["fit", "runs.csv", "--law", "chinchilla", "--bootstrap", "100"]
    held = answer([*fit, "--holdout", "n_tokens>5e11", "--level", "0.5", "--resampling", "wild"], capsys)
    assert held["level"] == 0.5
    assert held["intervals"].endswith("wild")
    assert {point["D"] for point in held["points"] if point["held_out"]} == {1e12}
    assert answer([*fit, "--holdout", "none"], capsys)["holdout"] is None
    write(here / "runs.csv", [{**row, "w": 1.0 if i else 1e-9} for i, row in enumerate(planted_rows("chinchilla"))])
    rows = planted_rows("chinchilla")
    rows[0]["loss"] *= 2
    write(here / "weighed.csv", [{**row, "w": 1.0 if i else 1e-9} for i, row in enumerate(rows)])
    options = ["--law", "chinchilla", "--bootstrap", "0", "--weights", "w", "--objective", "squares-log"]
    weighed = answer(["fit", "weighed.csv", *options], capsys)
    assert weighed["params"]["E"]["value"] == pytest.approx(1.8172, rel=1e-4)  # the spoilt point weighs nothing


def test_the_sensitivity_refits_over_objectives_outliers_and_counts(here, capsys):
    plain = planted_rows("chinchilla", sd=0.003)
    rows = [{**row, "n_params": {"total": 1.1 * row["n_params"], "non_embedding": row["n_params"]}} for row in plain]
    write(here / "runs.jsonl", rows)
    fit = ["fit", "runs.jsonl", "--law", "chinchilla", "--bootstrap", "0", "--sensitivity"]
    found = answer(fit, capsys)
    assert found["params"].keys() <= found["sensitivity"][0].keys()
    assert {row["count"] for row in found["sensitivity"]} == {"as given", "n_params.non_embedding"}
    assert {row["objective"] for row in found["sensitivity"]} == {"huber", "absolute", "squares-log", "squares"}
    assert {row["dropped"] for row in found["sensitivity"]} == {0, 1, 5}
    first, *others = found["sensitivity"]
    fit_verb._print_sensitivity({**found, "sensitivity": [*others, {**first, "E": None}]})  # E was not to be had
    told = capsys.readouterr().out
    low, high = (end(row["alpha"] for row in found["sensitivity"]) for end in (min, max))
    assert "over all  of these 24 refits" in told
    assert f"alpha     {number(low)} to {number(high)}" in told


def test_out_holds_the_fit_that_allocate_and_next_read(here, capsys):
    fit = ["fit", "runs.csv", "--law", "chinchilla", "--bootstrap", "100", "--out", "results/first"]
    assert main(fit) == 0
    assert "wrote results/first/fit.json" in capsys.readouterr().out
    written = json.loads((here / "results" / "first" / "fit.json").read_text())
    assert written == answer(fit[:-2], capsys)
    assert main(["allocate", "--fit", "results/first/fit.json", "--compute", "1e21"]) == 0
    (here / "taken").write_text("")
    capsys.readouterr()
    assert main([*fit[:-1], "taken/here"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_out_holds_the_figures_in_the_formats_asked_for(here, capsys):
    fit = ["fit", "runs.csv", "--law", "chinchilla", "--bootstrap", "0", "--out", "drawn"]
    assert main(fit) == 0
    assert {path.suffix for path in (here / "drawn").iterdir()} == {".json", ".html"}
    assert main([*fit, "--formats", "png, svg"]) == 0
    told = capsys.readouterr().out
    for path in (here / "drawn").iterdir():
        assert f"wrote drawn/{path.name}" in told
    assert {path.suffix for path in (here / "drawn").iterdir()} == {".json", ".html", ".png", ".svg"}
    assert main([*fit, "--formats", "pgn"]) == 2
    assert "no figures as 'pgn' (did you mean \"png\"?)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [["fit", "--help"], ["fit", "--laws"], ["fit", "runs.csv", "--law", "chinchilla", "--bootstrap", "0"],
     ["allocate", "--public", "kaplan", "--compute", "1e20"], ["next", "--help"]],
    ids=["help", "laws", "fit", "allocate", "next"],
)  # fmt: skip
def test_torch_is_not_imported(arguments, here):
    code = f"import sys; from isostate.cli import main; print(main({arguments!r})); sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("0\n")


def test_help_and_a_mistake_wait_for_no_scipy(here):
    code = "import sys; from isostate.cli import main; main(['fit', '--help']); sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False).returncode == 0
