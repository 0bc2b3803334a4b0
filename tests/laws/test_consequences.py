"""What follows from a law: each formula against what defines it, and intervals that hold the truth."""

from dataclasses import replace

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS, fit_law
from isostate.laws.consequences import (
    band,
    best_epochs,
    bits_for,
    critical_batch,
    effective_tokens,
    follows,
    prediction,
    state_for_context,
    state_for_params,
)
from isostate.laws.result import Interval
from tests.laws.planted import PLANTED

PLAIN = {"objective": "squares-log", "profile_points": 0, "holdout": None}


def fitted(name, bootstrap=0, sd=0.0, seed=0):
    law, case = LAWS[name], PLANTED[name]
    y = law.predict(case.values, case.inputs)
    y = y * np.exp(sd * np.random.default_rng(seed).normal(size=len(y)))
    return fit_law(law, case.inputs, y, bootstrap=bootstrap, resampling="residual", **PLAIN)


@pytest.mark.parametrize(("name", "T"), [("state-params", {}), ("state-all", {"T": 4096.0})])
def test_at_the_state_for_a_size_a_doubling_of_either_gains_the_same(name, T):
    fit = fitted(name)
    S = state_for_params(fit, 1e8, **T).value
    at = {"N": 1e8, "S": S, **T} | ({"D": 1e10} if name == "state-all" else {})
    here = prediction(fit, **at).value
    by_N, by_S = (here - prediction(fit, **{**at, symbol: at[symbol] * 1.0001}).value for symbol in "NS")
    assert by_N == pytest.approx(by_S, rel=1e-3)


@pytest.mark.parametrize("name", ["state-context", "state-all"])
def test_at_the_state_for_a_context_forgetting_costs_what_the_finite_context_does(name):
    fit = fitted(name)
    p = fit.values
    for T in (512.0, 8192.0):
        S = state_for_context(fit, T).value
        assert p["B"] * S ** -p["beta"] * T ** p["tau"] == pytest.approx(p["H"] * T ** -p["chi"], rel=1e-9)
    rise = np.log(state_for_context(fit, 1e4).value / state_for_context(fit, 1e3).value) / np.log(10)
    key = "state_exponent" if name == "state-context" else "state_exponent_in_context"
    assert rise == pytest.approx(fit.derived[key].value)


def test_an_exponent_of_the_state_next_to_nought_asks_for_infinitely_many_elements():
    fit = fitted("state-context")
    flat = replace(fit, params={**fit.params, "beta": Interval(1e-5), "B": Interval(10 * fit.values["H"])})
    assert state_for_context(flat, 4096.0).value == np.inf


def test_factor_and_exponent_give_the_state_for_a_context():
    fit = fitted("state-context")
    by_power = fit.derived["state_factor"].value * 4096.0 ** fit.derived["state_exponent"].value
    assert state_for_context(fit, 4096.0).value == pytest.approx(by_power)


def test_intervals_follow_from_the_draws_and_hold_the_truth():
    truth = {
        "state-params": lambda f: state_for_params(f, 1e8),
        "state-context": lambda f: state_for_context(f, 8192.0),
        "critical-batch": critical_batch,
        "noise-scale": lambda f: critical_batch(f, L=2.5),
        "step-law-lr": lambda f: prediction(f, N=5e8, D=1e10),
        "step-law-batch": lambda f: prediction(f, D=1e11),
        "repetition": lambda f: effective_tokens(f, 1e9, 10.0),
        "precision": bits_for,
    }
    for name, rule in truth.items():
        exact, drawn = rule(fitted(name)), rule(fitted(name, bootstrap=300, sd=0.003, seed=1))
        assert (exact.low, exact.high) == (None, None)
        assert drawn.low < drawn.value < drawn.high, name
        wider = 0.5 * (drawn.high - drawn.low)  # a 95 % interval misses now and then, but not by far
        assert drawn.low - wider < exact.value < drawn.high + wider, name


def test_a_band_is_the_prediction_at_each_setting_and_widens_beyond_the_runs():
    fit = fitted("chinchilla", bootstrap=200, sd=0.005)
    x = {"N": np.geomspace(1e8, 1e12, 5), "D": np.full(5, 1e11)}
    got = band(fit, x)
    for i in range(5):
        one = prediction(fit, N=x["N"][i], D=1e11)
        assert (got["predicted"][i], got["low"][i], got["high"][i]) == (one.value, one.low, one.high)
    assert got["high"][4] - got["low"][4] > 2 * (got["high"][1] - got["low"][1])


def test_the_step_law_at_published_values():
    # Li et al. 2025: lr 1.79 N^-.713 D^.307, batch .58 D^.571 tokens, for 1B parameters and 100B tokens
    assert prediction(fitted("step-law-lr"), N=1e9, D=1e11).value == pytest.approx(1.79 * 1e9**-0.713 * 1e11**0.307)
    assert prediction(fitted("step-law-batch"), D=1e11).value == pytest.approx(0.58 * 1e11**0.571, rel=1e-6)


def test_the_critical_batch_is_where_both_cost_twice_their_least():
    fit = fitted("critical-batch")
    B = critical_batch(fit).value
    steps = prediction(fit, B=B).value
    assert steps == pytest.approx(2 * fit.values["S_min"])
    assert B * steps == pytest.approx(2 * fit.values["E_min"])
    # Kaplan et al. 2020: about 2e8 tokens at a loss of 1, and B_crit doubles for every 13 % decrease in loss
    noise = fitted("noise-scale")
    assert critical_batch(noise, L=1.0).value == pytest.approx(2.1e8, rel=1e-5)
    assert critical_batch(noise, L=0.87 * 3).value / critical_batch(noise, L=3.0).value == pytest.approx(2.0, rel=0.05)


def test_four_epochs_are_worth_almost_as_much_as_fresh_tokens_and_forty_are_not():
    # Muennighoff et al. 2023: up to four epochs repeated tokens are almost as good as new; at forty they are worthless
    fit = fitted("repetition")
    assert effective_tokens(fit, 1e9, 1.0).value == pytest.approx(1e9)
    assert effective_tokens(fit, 1e9, 4.0).value > 0.9 * 4e9
    gain = effective_tokens(fit, 1e9, 40.0).value - effective_tokens(fit, 1e9, 39.0).value
    assert gain < 0.1e9
    assert effective_tokens(fit, 1e9, 1e6).value == pytest.approx(fit.derived["most_tokens"].value * 1e9, rel=1e-6)
    half = fit.derived["half_value_epochs"].value
    step = effective_tokens(fit, 1e9, half + 0.001).value - effective_tokens(fit, 1e9, half).value
    assert step == pytest.approx(0.5 * 0.001e9, rel=1e-3)


def test_the_best_number_of_epochs_beats_its_neighbours_and_grows_with_the_budget():
    fit, unique = fitted("repetition"), 1e9
    found = best_epochs(fit, 1e21, unique)
    N, D = found["N"].value, found["D"].value
    assert found["epochs"].value == pytest.approx(D / unique)
    losses = [prediction(fit, N=N / f, D=D * f, U=unique).value for f in (0.97, 1.0, 1.03)]
    assert losses[1] < min(losses[0], losses[2])
    assert best_epochs(fit, 1e22, unique)["epochs"].value > found["epochs"].value > 1.0


def test_bits_keep_the_share_they_say():
    fit = fitted("precision")
    P = bits_for(fit, 0.9).value
    assert 1 - np.exp(-P / fit.values["gamma"]) == pytest.approx(0.9)
    assert bits_for(fit).value == pytest.approx(fit.derived["bits_99"].value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: state_for_params(fitted("chinchilla"), 1e9), "does not follow from the law 'chinchilla'"),
        (lambda: state_for_params(fitted("state-all"), 1e9), "give T"),
        (lambda: state_for_params(fitted("state-params"), 1e9, T=1.0), "leave T out"),
        (lambda: critical_batch(fitted("noise-scale")), "give L"),
        (lambda: prediction(fitted("chinchilla"), N=1e9), "takes N, D; given N"),
        (lambda: effective_tokens(fitted("repetition"), 1e9, 0.5), "fewer than one"),
        (lambda: bits_for(fitted("precision"), 1.5), "not between 0 and 1"),
        (lambda: follows(fit_law(LAWS["chinchilla"], {"N": [1.0], "D": [1.0]}, [2.0]), lambda p: p["E"]), "failed"),
    ],
)
def test_what_does_not_follow_is_told_in_one_line(call, message):
    with pytest.raises(UserError, match=message):
        call()
