"""Sums of power laws: L = L_inf + sum_j A_j x_j^-alpha_j over several resources, and the state laws among them.

One evaluation serves them all: every term is exp(log coefficient - sum of exponent times log input). Sources by law;
the state laws are this project's (FORMULAS section 5, State).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from isostate.laws.law import Array, Evaluate, Inputs, Law, Parameter

Term = tuple[str, Mapping[str, str]]  # coefficient, {input: exponent}; the exponent's sign is in `raised` below

COEFFICIENT = tuple(np.exp([0.0, 5.0, 10.0, 15.0]))
EXPONENT = (0.1, 0.35, 0.8)


def power_sum(terms: Sequence[Term], names: Sequence[str], raised: Sequence[str] = ()) -> Evaluate:
    """Evaluation of names[0] + sum of coefficient * prod(input^-exponent); exponents in `raised` have a plus."""
    index = {name: k for k, name in enumerate(names)}

    def evaluate(p: Sequence[Array], x: Inputs) -> tuple[Array, Sequence[Array]]:
        logs = {symbol: np.log(column) for symbol, column in x.items()}
        partials: list[Array] = [np.zeros((1, 1))] * len(names)
        value, partials[0] = p[0], np.ones((1, 1))
        for coefficient, powers in terms:
            signed = {e: logs[s] if e in raised else -logs[s] for s, e in powers.items()}
            shape = np.exp(sum(p[index[e]] * log for e, log in signed.items()))
            term = p[index[coefficient]] * shape
            value = value + term
            partials[index[coefficient]] = shape
            for exponent, log in signed.items():
                partials[index[exponent]] = partials[index[exponent]] + term * log
        return value, partials

    return evaluate


def joint_law(
    name: str,
    equation: str,
    source: str,
    terms: Sequence[Term],
    inputs: Sequence[str],
    derived: Mapping[str, Callable[[Mapping[str, Array]], Array]] | None = None,
    raised: Sequence[str] = (),
) -> Law:
    """A law of this family; its offset is E."""
    coefficients = [coefficient for coefficient, _ in terms]
    exponents = list(dict.fromkeys(e for _, powers in terms for e in powers.values()))
    names = ["E", *coefficients, *exponents]
    parameters = (
        Parameter("E", starts=(0.3, 1.0, 2.0)),
        *(Parameter(coefficient, starts=COEFFICIENT) for coefficient in coefficients),
        *(Parameter(exponent, starts=EXPONENT) for exponent in exponents),
    )
    linear = ("E", *coefficients)
    return Law(
        name,
        equation,
        source,
        tuple(inputs),
        parameters,
        power_sum(terms, names, raised),
        linear,
        derived=derived or {},
    )


STATE_PARAMS = joint_law(
    "state-params",
    "L(N, S) = E + A N^-alpha + B S^-beta",
    "FORMULAS section 5, State",
    [("A", {"N": "alpha"}), ("B", {"S": "beta"})],
    ("N", "S"),
    # S*(N): the state whose gain per doubling equals that of the parameters, alpha A N^-alpha = beta B S^-beta
    derived={
        "state_exponent": lambda p: p["alpha"] / p["beta"],
        "state_factor": lambda p: (p["beta"] * p["B"] / (p["alpha"] * p["A"])) ** (1.0 / p["beta"]),
    },
)

STATE_CONTEXT = joint_law(
    "state-context",
    "L(S, T) = E + H T^-chi + B S^-beta T^tau",
    "FORMULAS section 5, State: context helps by H T^-chi, and a state forgets more of a longer one",
    [("H", {"T": "chi"}), ("B", {"S": "beta", "T": "tau"})],
    ("S", "T"),
    # S*(T): the state at which forgetting costs as much as the finite context does, B S^-beta T^tau = H T^-chi
    derived={
        "state_exponent": lambda p: (p["tau"] + p["chi"]) / p["beta"],
        "state_factor": lambda p: (p["B"] / p["H"]) ** (1.0 / p["beta"]),
    },
    raised=("tau",),
)

STATE_ALL = joint_law(
    "state-all",
    "L(N, S, T, D) = E + A N^-alpha + B S^-beta T^tau + H T^-chi + K D^-delta",
    "FORMULAS section 5, State: the sum of the laws above",
    [
        ("A", {"N": "alpha"}),
        ("B", {"S": "beta", "T": "tau"}),
        ("H", {"T": "chi"}),
        ("K", {"D": "delta"}),
    ],
    ("N", "S", "T", "D"),
    derived={
        "state_exponent_in_context": lambda p: (p["tau"] + p["chi"]) / p["beta"],
        "state_exponent_in_params": lambda p: p["alpha"] / p["beta"],
    },
    raised=("tau",),
)

KAPLAN_STEPS = joint_law(
    "kaplan-steps",
    "L(N, steps) = E + A N^-alpha + B steps^-sigma",
    "Kaplan et al. 2020 eq. 1.6 (E = 0 there, alpha .077, sigma .76, steps = S_min)",
    [("A", {"N": "alpha"}), ("B", {"steps": "sigma"})],
    ("N", "steps"),
    derived={"a": lambda p: p["sigma"] / (p["alpha"] + p["sigma"])},  # N* ~ C^a at one batch size, C ~ N steps
)
