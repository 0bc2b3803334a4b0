"""isostate.cli.law_words."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from rich.console import Console

from isostate.cli import law_words
from isostate.laws import LAWS, fit_law, fit_state
from isostate.laws.saved import saved
from tests.laws.planted import PLANTED


def told(draw, width=100):
    screen = Console(file=io.StringIO(), width=width, markup=False, highlight=False)
    draw(screen)
    return screen.file.getvalue()


def test_numbers_are_short_and_signs_stay():
    given = (1.8172, 482.0123, 6.4e13, -0.0821, 1e-9, 0.0, None)
    assert [law_words.number(value) for value in given] == ["1.8172", "482.01", "6.4e13", "-0.0821", "1e-9", "0", ""]


def test_an_interval_may_be_open_or_unknown():
    assert law_words.interval({"value": 0.5, "low": 0.4, "high": None}) == "0.5 (0.4 to open)"
    assert law_words.interval({"value": 0.5, "low": None, "high": None}) == "0.5"


@pytest.mark.parametrize("name", LAWS)
def test_the_fitted_equation_says_what_the_law_says(name):
    law, values = LAWS[name], PLANTED[name].values
    shown = law_words.fitted_equation(law.equation, values)
    assert shown.partition(" = ")[0] == law.equation.partition(" = ")[0]
    # read as Python, the shown equation gives the law's prediction; laws that hide a part of themselves cannot be read
    if name in ("routed", "repetition"):
        return
    right = shown.partition(" = ")[2].replace("[", "(").replace("]", ")").replace("^", "**")
    at = {symbol: float(column[0]) for symbol, column in PLANTED[name].inputs.items()}
    if name == "farseer":
        at["N"] /= 1e9  # its source says: in billions
    pieces = right.split(" ")
    for i in range(len(pieces) - 1):
        left, after = pieces[i], pieces[i + 1]
        if left not in ("+", "-", "/") and after not in ("+", "-", "/"):
            pieces[i] = left + "*"
    got = eval("".join(pieces), {"exp": np.exp}, at)
    want = law.predict(values, {symbol: column[:1] for symbol, column in PLANTED[name].inputs.items()})[0]
    assert got == pytest.approx(want, rel=2e-3)


def test_everything_that_follows_from_a_law_has_a_meaning():
    for law in LAWS.values():
        for name in law.derived:
            assert law_words.meaning(law.name, name), f"{law.name}: {name}"


def chinchilla(**options):
    case = PLANTED["chinchilla"]
    y = LAWS["chinchilla"].predict(case.values, case.inputs)
    y = y * np.exp(0.002 * np.random.default_rng(0).normal(size=len(y)))
    return fit_law(LAWS["chinchilla"], case.inputs, y, **{"bootstrap": 200, **options})


def test_a_fit_is_told_whole():
    answer = json.loads(json.dumps(saved(chinchilla())))
    text = told(lambda screen: law_words.print_fit(screen, answer, [("table", "runs.csv, 36 rows")]))
    for words in (
        "chinchilla: L(N, D) = E + A N^-alpha + B D^-beta", "Hoffmann et al. 2022", "runs.csv, 36 rows", "95 % from",
        "standard error", "the best N grows as C^a", "sum of Huber(1e-3) of the log residual: ", "200 refits",
        "reached this optimum", "4 points, predicted by a fit without them: mean error",
    ):  # fmt: skip
        assert words in text, text
    for name, row in answer["params"].items():
        assert any(line.split()[:2] == [name, law_words.number(row["value"])] for line in text.splitlines())


def test_a_fit_of_one_resource_shows_its_bootstrap_and_its_one_held_out_size():
    sizes = np.geomspace(1e3, 1e5, 6)
    answer = saved(fit_state(sizes, 1.5 + 20 * sizes**-0.5 + 0.002 * np.array([1, -1, 1, 0, -1, 1])))
    text = told(lambda screen: law_words.print_fit(screen, answer))
    assert "bootstrap from" in text
    assert "the largest size, predicted without it" in text
    assert "noise" in text


def test_an_untested_law_says_so_and_one_that_predicts_nothing_finite():
    answer = saved(chinchilla(holdout=None, bootstrap=0))
    assert "has not been tested" in law_words.hold_out(answer)
    held = {"x": 1.0, "observed": 2.0, "predicted": None, "low": None, "high": None, "n": 3, "error": None}
    assert "predicts nothing finite" in law_words.hold_out({**answer, "holdout": held})


def test_what_a_fit_will_carry_one_day_is_shown_as_it_is():
    answer = {
        **saved(chinchilla(bootstrap=0)),
        "seed_noise": {"sd": 0.01, "dof": 3},
        "bound_hits": ["alpha", "beta"],
        "comparison": [{"law": "kaplan", "aic": -12.5, "grid": list(range(99))}, {"law": "chinchilla", "aic": -40.0}],
        "profiles": {"E": {"interval": {"value": 1.0, "low": 0.9, "high": 1.1}, "values": list(range(41))}},
        "nothing": None,
        "empty": {},
        "long": list(range(50)),
    }
    text = told(lambda screen: law_words.print_fit(screen, answer))
    for words in ("seed noise", "sd 0.01, dof 3", "alpha, beta", "comparison:", "-12.5", "profiles:", "1 (0.9 to 1.1)"):
        assert words in text
    for word in ("nothing", "empty", "long", "grid"):
        assert word not in text


def test_alarms_and_advice_are_wrapped_beside_their_labels():
    text = told(lambda screen: law_words.print_alarms(screen, ["word " * 40], ["do it"]), width=60)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 60
    assert lines[0].startswith("alarm   word")
    assert lines[1].startswith("        word")
    assert lines[-1].startswith("advice  do it")
    assert told(lambda screen: law_words.print_alarms(screen, [])) == "no alarms\n"


def test_text_that_looks_like_markup_is_shown_as_it_is():
    assert "[red]x[/red]" in told(lambda screen: screen.print(law_words.facts([("a", "[red]x[/red]")])))


def test_a_table_wider_than_the_terminal_loses_no_digit():
    rows = [{f"column{i}": 1.2345 + i for i in range(14)}]
    text = told(lambda screen: law_words.print_table(screen, law_words.rows_table(rows)), width=40)
    assert "…" not in text
    assert "14.235" in text
