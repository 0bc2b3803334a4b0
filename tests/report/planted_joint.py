"""Rows whose losses follow joint laws of known exponents, to a little noise."""

from __future__ import annotations

from tests.report import studies

CONTEXTS = (128, 512, 2_048, 8_192)
STATES = (1_024, 4_096, 16_384, 65_536, 262_144)
CHI, BETA, TAU = 0.3, 0.5, 0.1  # S* ~ T^((TAU + CHI) / BETA) = T^0.8
ALPHA, BETA_N = 0.35, 0.5  # S* ~ N^0.7
SIZES = ((2, 32, 100_000), (2, 64, 400_000), (4, 128, 1_600_000), (4, 256, 6_400_000))
JOINT = {**studies.STUDY, "fit": [{"law": "state-context"}, {"law": "state-params"}]}


def _row(loss: float, **where) -> dict:
    row = studies.run(evals=(16_384,), **where)
    noise = row["final"]["16384"]["loss_nats"] - studies.expected_loss(
        row["family"], row["n_params"]["total"], row["state"]["elements"], row["train_context"], 16_384
    )
    row["final"]["16384"]["loss_nats"] = loss + noise / 10
    return row


def contexts(family: str = "power-2") -> list[dict]:
    """L = 2 + 3 T^-CHI + 20 S^-BETA T^TAU."""
    return [
        _row(2 + 3 * t**-CHI + 20 * s**-BETA * t**TAU, family=family, context=t, state=s)
        for t in CONTEXTS
        for s in STATES
    ]


def params(family: str = "power-2") -> list[dict]:
    """L = 2 + 40 N^-ALPHA + 20 S^-BETA_N; the states hold every size's S*, from 765 to 29,440."""
    rows = []
    for size in SIZES:
        n_params = size[2] - 65_536
        rows += [
            _row(2 + 40 * n_params**-ALPHA + 20 * s**-BETA_N, family=family, size=size, state=s) for s in (256, *STATES)
        ]
    return rows
