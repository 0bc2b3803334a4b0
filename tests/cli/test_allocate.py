"""isostate.cli.allocate."""

from __future__ import annotations

import json

import pytest

from isostate.cli import main
from tests.laws.rows import planted_rows, write

PUBLIC = {"E": 1.8172, "A": 482.01, "B": 2085.43, "alpha": 0.3478, "beta": 0.3658}  # Besiroglu et al. 2024


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "runs.csv", planted_rows("chinchilla", sd=0.003))
    return tmp_path


def answer(arguments, capsys):
    assert main(["allocate", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def best(p, compute):
    """FORMULAS section 5, by hand."""
    G = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    N = G * (compute / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))
    return N, compute / (6 * N)


def test_published_values_give_the_closed_form_without_a_table(capsys):
    found = answer(["--public", "epoch-chinchilla", "--compute", "1e23,1e24"], capsys)
    for compute, one in zip((1e23, 1e24), found["allocations"], strict=True):
        N, D = best(PUBLIC, compute)
        assert one["budget"] == compute
        assert one["N"]["value"] == pytest.approx(N, rel=1e-5)
        assert one["D"]["value"] == pytest.approx(D, rel=1e-5)
        loss = PUBLIC["E"] + PUBLIC["A"] * N ** -PUBLIC["alpha"] + PUBLIC["B"] * D ** -PUBLIC["beta"]
        assert one["loss"]["value"] == pytest.approx(loss, rel=1e-9)
        assert one["N"]["low"] is None
        assert any("no points behind these values" in alarm for alarm in one["alarms"])


def test_a_table_gives_intervals_and_alarms_where_it_extrapolates(here, capsys):
    options = ["runs.csv", "--law", "chinchilla", "--bootstrap", "200"]
    found = answer([*options, "--compute", "1e21,1e26"], capsys)
    near, far = found["allocations"]
    for symbol, true in zip("ND", best({**PUBLIC}, 1e21), strict=True):
        assert near[symbol]["low"] < near[symbol]["value"] < near[symbol]["high"]
        assert near[symbol]["low"] < true < near[symbol]["high"]  # the planted values are the published ones
    assert near["alarms"] == []
    assert any("extrapolating: N" in alarm for alarm in far["alarms"])
    assert main(["allocate", *options, "--compute", "1e21,1e26"]) == 0
    told = capsys.readouterr().out
    assert "1e21 FLOPs" in told
    assert "alarm  1e26 FLOPs: extrapolating: N" in told.replace("   ", "  ")
    assert "D / N" in told


def test_inference_hours_and_limits_change_the_answer_as_they_should(capsys):
    public = ["--public", "epoch-chinchilla"]
    plain, served, bound = (
        answer([*public, *options], capsys)["allocations"][0]
        for options in (
            ["--compute", "1e23"],
            ["--compute", "1e23", "--inference-tokens", "1e13"],
            ["--compute", "1e23", "--max", "n_params=7e9"],
        )
    )
    N, D = served["N"]["value"], served["D"]["value"]
    assert pytest.approx(1e23, rel=1e-6) == 6 * N * D + 2 * N * 1e13
    p = PUBLIC
    ratio = p["alpha"] * p["A"] * N ** -p["alpha"] / (p["beta"] * p["B"] * D ** -p["beta"])
    assert ratio == pytest.approx(1 + 1e13 / (3 * D), rel=1e-3)
    assert plain["N"]["value"] > N
    assert bound["N"]["value"] == pytest.approx(7e9, rel=1e-3)
    assert any("N on its limit" in alarm for alarm in bound["alarms"])
    hours = 1e23 / 4e14 / 3600
    timed = answer([*public, "--hours", repr(hours), "--flops-per-s", "4e14"], capsys)
    assert timed["unit"] == "seconds"
    assert timed["allocations"][0]["budget"] == pytest.approx(1e23 / 4e14)
    assert timed["allocations"][0]["N"]["value"] == pytest.approx(plain["N"]["value"], rel=1e-5)


def test_memory_is_shared_between_weights_and_state(here, capsys):
    write(here / "state.csv", planted_rows("state-params", sd=0.001))
    options = ["state.csv", "--law", "state-params", "--bootstrap", "0", "--memory-bytes", "1e9", "--sequences", "64"]
    (one,) = answer([*options, "--bytes-per-param", "1"], capsys)["allocations"]
    assert one["N"]["value"] + 2 * 64 * one["S"]["value"] == pytest.approx(1e9, rel=1e-6)


def test_other_inputs_are_fixed_and_doubts_are_said(capsys):
    options = ["--public", "krajewski", "--compute", "1e22", "--at", "granularity=8"]
    found = answer(options, capsys)
    assert found["fixed"] == {"G": 8.0}
    assert any("mixture of experts" in alarm for alarm in found["allocations"][0]["alarms"])
    assert main(["allocate", *options]) == 0
    assert "G = 8" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["--compute", "1e23"], "by which law? give a TABLE with --law"),
        (["--public", "epoch-chinchilla"], "give one budget"),
        (["--public", "epoch-chinchilla", "--compute", "-1"], "--compute: -1 is not a positive finite number"),
        (
            ["--public", "epoch-chinchilla", "--compute", "1e23", "--level", "0.9"],
            "a finished fit; leave --level out",
        ),
        (["--public", "kaplan", "--fit", "fit.json", "--compute", "1"], "both bring a fit"),
        (["--fit", "fit.json", "--compute", "1e23"], "no file fit.json"),
        (["--public", "noise", "--compute", "1e23"], "no published fit 'noise'"),
        (["--public", "epoch-chinchilla", "--compute", "1e10", "--min", "N=1e9,D=1e9"], "buys nothing with N from"),
        (["runs.csv", "--law", "chinchilla", "--compute", "1e2x"], "'1e2x' is not a number"),
        (["runs.csv", "--law", "kaplan-steps", "--compute", "1e22"], "buys N and D"),
        (["one.csv", "--law", "chinchilla", "--compute", "1e22"], "the fit of 'chinchilla' failed (too few points"),
    ],
)
def test_a_mistake_is_one_line(arguments, words, here, capsys):
    write(here / "one.csv", planted_rows("chinchilla")[:1])
    assert main(["allocate", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
