"""What the note claims that is counted and not measured: how far windows reach, how large states were or can be."""

from __future__ import annotations

from typing import Any

from isostate.report import claims
from isostate.report.note.claim import NOTE, Asked, Claim, Part, judge
from isostate.report.note.studies import MODEL_SIZE, STATE_LAWS, Studies, Study
from isostate.report.rows import Row
from isostate.report.seeds import exactly

REACH = Asked("reach", "a window's “effective context length … is wl”", NOTE, STATE_LAWS)
LIMIT = Asked("limit", "head-varied linear: “there is a maximum”, for GPT-2 XL “122 million”", NOTE, STATE_LAWS)
CACHE = Asked(
    "cache-2019", "in 2019 transformers had a “state size (KV cache) on the order billions”", NOTE, STATE_LAWS
)
LSTM = Asked("lstm", "in “LSTMs etc” the state “was always much smaller” than the parameter count", NOTE, MODEL_SIZE)

GPT2_XL = (48, 1_600)  # layers, width: Radford et al. 2019, table 2
GPT2_CONTEXT = 1_024  # tokens, section 2.3 there
NOTES_LIMIT = (122e6, 123e6)  # "122 million", cut to three digits
BILLIONS = 1e9
REACH_EXAMPLE = (4, 16)  # layers, window
TAPS = 2  # of the short convolution in this project's own studies
UNITS = 3  # of the smallest LSTM whose state is below a tenth of its parameters
LARGE_LSTM = 1_024  # units


def of_the_exact(studies: Studies) -> list[Claim]:
    """In the note's order."""
    return [reach(), limit(studies[STATE_LAWS]), cache(), lstm()]


def reach() -> Claim:
    """A layer sees w - 1 positions further back, so l of them see l (w - 1) + 1 tokens: the note counts l - 1 more.

    A convolution of c taps before each window sees c - 1 further again.
    """
    n_layers, window = REACH_EXAMPLE
    tokens, noted = n_layers * (window - 1) + 1, n_layers * window
    part = Part("", exactly(tokens), (noted, noted), spec=".0f")
    words = [
        f"the note's wl gives {noted}, off by l − 1 = {noted - tokens} tokens, an unimportant difference",
        f"with a convolution of c = {TAPS} taps before each window, as in the studies here, "
        f"l (w − 1) + l (c − 1) + 1 = {tokens + n_layers * (TAPS - 1)}",
    ]
    unit = f"l (w − 1) + 1 tokens, exact, with {n_layers} layers of window {window}"
    return judge(REACH, [part], unit, more=words, trained=True)


def limit(study: Study) -> Claim:
    """L d^2 / h elements at h heads: most at one. Exact, and held against the states that the study's runs carried."""
    n_layers, width = GPT2_XL
    largest = n_layers * width**2
    part = Part("", exactly(largest), NOTES_LIMIT, spec=",.0f")
    linear = [row for row in study.finished if row["family"] in ("linear", "linear-gated")]
    kept = sum(_matrix(row) == row["n_layers"] * row["d_model"] ** 2 // row["mixer"]["n_heads"] for row in linear)
    held = f"{kept} of {len(linear)} linear runs carry layers × width² / heads" if linear else ""
    return judge(LIMIT, [part], "layers × width² elements at one head of GPT-2 XL, exact", more=[held], trained=True)


def cache() -> Claim:
    """Keys and values of every layer and token: 2 L T d elements, for the largest GPT-2 at its full context."""
    n_layers, width = GPT2_XL
    elements = 2 * n_layers * GPT2_CONTEXT * width
    part = Part("", exactly(elements), (BILLIONS / claims.ORDER, BILLIONS * claims.ORDER), spec=",.0f")
    unit = f"2 × layers × context × width elements a sequence of GPT-2 XL (2019) at {GPT2_CONTEXT:,} tokens, exact"
    more = f"of the order: within a factor of {claims.ORDER:.0f} of {BILLIONS:,.0f}"
    return judge(CACHE, [part], unit, more=[more], trained=True)


def lstm() -> Claim:
    """A layer of h units carries its cell and its output, 2 h, and has four gates of h (h + h + 1) parameters.

    (Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000; inputs as wide as the layer.)
    """
    part = Part(f"{UNITS} units", exactly(state_of_lstm(UNITS)), (0.0, 1 / claims.ORDER), spec=".2g")
    words = [
        f"{state_of_lstm(LARGE_LSTM):.2g} at {LARGE_LSTM:,} units",
        f"much smaller: below 1/{claims.ORDER:.0f}, so for every layer of {UNITS} units and more",
    ]
    return judge(LSTM, [part], "2h over 4h (2h + 1) = 1 / (4h + 2), exact", more=words, trained=True)


def state_of_lstm(units: int) -> float:
    """A layer's state over its parameters."""
    return 2 * units / (4 * units * (2 * units + 1))


def _matrix(row: Row) -> Any:
    return row["state"]["parts"].get("matrix")
