"""What the note claims of the state itself: that loss falls with it, which family uses it best, how far it goes."""

from __future__ import annotations

from typing import Any

from isostate.report import equal_state, labels
from isostate.report import rows as runs
from isostate.report.claims import NEGATIVE, POSITIVE
from isostate.report.equal_state import Matched
from isostate.report.fits import of_state
from isostate.report.note.claim import NOTE, Asked, Claim, Part, judge
from isostate.report.note.studies import STATE_LAWS, Studies, Study, by_state, on_noise, places
from isostate.report.rows import Row
from isostate.report.seeds import Means, exactly

FALLS = Asked("falls", "“a clear pattern of improved performance as the state size grows”", NOTE, STATE_LAWS)
BEATS = Asked("beats", "“the multilinear smokes the rest” at equal state: gated against gated", NOTE, STATE_LAWS)
BEATS_BARE = Asked("beats-ungated", "“the multilinear smokes the rest” at equal state: without gates", NOTE, STATE_LAWS)
TAYLOR = Asked("taylor", "the second-order Taylor map improves linear transformers: keys of one size", NOTE, STATE_LAWS)
TAYLOR_EQUAL = Asked("taylor-equal", "the second-order Taylor map improves linear transformers: at equal state", NOTE,
                     STATE_LAWS)  # fmt: skip
LIMIT = Asked("limit", "head-varied linear: “there is a maximum”, for GPT-2 XL “122 million”", NOTE, STATE_LAWS)
REACH = Asked("reach", "a window's “effective context length … is wl”", NOTE, STATE_LAWS)

GPT2_XL = (48, 1_600)  # layers, width: Radford et al. 2019, table 2
NOTES_LIMIT = (122e6, 123e6)  # "122 million", cut to three digits
REACH_EXAMPLE = (4, 16)  # layers, window


def of_the_state(studies: Studies) -> list[Claim]:
    """The note's first claims, in its order."""
    return [
        reach(),
        limit(studies[STATE_LAWS]),
        falls(studies),
        beats(studies, BEATS, "power-2-gated"),
        beats(studies, BEATS_BARE, "power-2"),
        taylor(studies),
        taylor_at_equal_state(studies),
    ]


def falls(studies: Studies) -> Claim:
    """The fall from the smallest to the largest state of each family, and the exponents of its laws."""
    study, means = studies[STATE_LAWS], studies.means(STATE_LAWS)
    parts = []
    for place in places(means):
        states = by_state(means, place)
        if len(states) > 1:
            low, high = states[min(states)], states[max(states)]
            parts.append(Part(_named(study, place), means.difference(low, high), POSITIVE))
    return judge(
        FALLS,
        parts,
        "fall in nats from the smallest to the largest state",
        more=[_exponents(study), on_noise(means.noise)],
        trained=bool(study.finished),
    )


def beats(studies: Studies, asked: Asked, champion: str) -> Claim:
    """The champion's loss less each rival's at equal state, at every size that both have."""
    study, means = studies[STATE_LAWS], studies.means(STATE_LAWS)
    parts, counts = [], []
    for rival, place, found in comparisons(means, champion):
        parts.append(Part(_named(study, (rival, *place)), found.difference, NEGATIVE))
        counts.append(f"{found.ahead}/{len(found.states)}")
    ahead = f"ahead at {', '.join(counts)} of the states compared" if counts else ""
    return judge(
        asked,
        parts,
        f"{champion} less the other, nats at equal state",
        more=[ahead, on_noise(means.noise)],
        trained=bool(study.finished),
    )


def comparisons(means: Means, champion: str) -> list[tuple[str, tuple, Matched]]:
    """(rival, its size, context and condition, the comparison) for whoever is gated as the champion is, or a window."""
    found = []
    for family, *rest in places(means):
        place = tuple(rest)
        ours = by_state(means, (champion, *place))
        if ours and _rivals(champion, family):
            comparison = equal_state.matched(ours, by_state(means, (family, *place)), means)
            if comparison is not None:
                found.append((family, place, comparison))
    return found


def taylor(studies: Studies) -> Claim:
    """Taylor-2 less linear with keys of one size, where the state of Taylor is the larger."""
    study, means = studies[STATE_LAWS], studies.means(STATE_LAWS)
    parts = []
    for family, other in _taylor_pairs(study):
        heads = {name: _by_head_size(study, name) for name in (family, other)}
        for key in sorted(heads[family].keys() & heads[other].keys(), key=str):
            (ours, count), (theirs, other_count) = heads[family][key], heads[other][key]
            what = f"{family}, keys of {key[-1]} ({count} heads, linear {other_count})"
            parts.append(Part(what, means.difference(ours, theirs), NEGATIVE))
    return judge(TAYLOR, parts, "Taylor less linear, nats", more=[on_noise(means.noise)], trained=bool(study.finished))


def taylor_at_equal_state(studies: Studies) -> Claim:
    """Taylor-2 less linear over the range of states that both have."""
    study, means = studies[STATE_LAWS], studies.means(STATE_LAWS)
    parts, counts = [], []
    for family, other in _taylor_pairs(study):
        for name, *place in places(means):
            ours, theirs = by_state(means, (family, *place)), by_state(means, (other, *place))
            found = equal_state.matched(ours, theirs, means) if name == family and theirs else None
            if found is not None:
                parts.append(Part(_named(study, (family, *place)), found.difference, NEGATIVE))
                counts.append(f"from {labels.decimal(found.states[0])} to {labels.decimal(found.states[-1])} elements")
    return judge(
        TAYLOR_EQUAL,
        parts,
        "Taylor less linear, nats",
        more=[*counts, on_noise(means.noise)],
        trained=bool(study.finished),
    )


def limit(study: Study) -> Claim:
    """L d^2 / h elements at h heads: most at one. Exact, and held against the states that the study's runs carried."""
    n_layers, width = GPT2_XL
    largest = n_layers * width**2
    part = Part("", exactly(largest), NOTES_LIMIT, spec=",.0f")
    linear = [row for row in study.finished if row["family"] in ("linear", "linear-gated")]
    kept = sum(_matrix(row) == row["n_layers"] * row["d_model"] ** 2 // row["mixer"]["n_heads"] for row in linear)
    held = f"{kept} of {len(linear)} linear runs carry layers × width² / heads" if linear else ""
    return judge(LIMIT, [part], "layers × width² elements at one head of GPT-2 XL, exact", more=[held], trained=True)


def reach() -> Claim:
    """A layer sees w - 1 positions further back, so l of them see l (w - 1) + 1 tokens: the note counts l - 1 more."""
    n_layers, window = REACH_EXAMPLE
    tokens, noted = n_layers * (window - 1) + 1, n_layers * window
    part = Part("", exactly(tokens), (noted, noted), spec=".0f")
    more = f"the note's wl gives {noted}, an upper bound; short convolutions reach further"
    unit = f"l (w − 1) + 1 tokens, exact, with {n_layers} layers of window {window}"
    return judge(REACH, [part], unit, more=[more], trained=True)


def _matrix(row: Row) -> Any:
    return row["state"]["parts"].get("matrix")


def _rivals(champion: str, family: str) -> bool:
    gated = family.endswith("-gated") or family.startswith("mamba")
    return not family.startswith(("power", "softmax")) and (family == "window" or gated == champion.endswith("-gated"))


def _taylor_pairs(study: Study) -> list[tuple[str, str]]:
    """(Taylor-2, the linear family that has a gate where it has one)."""
    families = {row["family"] for row in study.finished}
    pairs = [("taylor-2", "linear"), ("taylor-2-gated", "linear-gated")]
    return [pair for pair in pairs if families.issuperset(pair)]


def _by_head_size(study: Study, family: str) -> dict[tuple, tuple[tuple, int]]:
    """(setting, its heads) of a family by (size, context, condition, elements of a key)."""
    return {
        (*runs.cell(row)[1:4], row["mixer"]["head_dim"]): (runs.cell(row), row["mixer"]["n_heads"])
        for row in study.at(study.longest)
        if row["family"] == family
    }


def _exponents(study: Study) -> str:
    """'α from 0.31 [0.2, 0.5] (window) to ...' of the laws at the longest context that has them."""
    fitted = [
        entry
        for entry in of_state(list(study.laws))
        if entry["params"] and entry["group"]["eval_context"] == study.longest
    ]
    if not fitted:
        return ""
    ordered = sorted(fitted, key=lambda entry: entry["params"]["alpha"]["value"])
    told = [_exponent(entry) for entry in (ordered[0], ordered[-1])]
    return f"α of {labels.plural(len(fitted), 'law')}: {' to '.join(dict.fromkeys(told))}"


def _exponent(entry: dict[str, Any]) -> str:
    alpha, family = entry["params"]["alpha"], entry["group"]["family"]
    return f"{labels.number(alpha['value'], 2)} {labels.interval(alpha['low'], alpha['high'])} ({family})"


def _named(study: Study, place: tuple) -> str:
    family, size = place[0], study.size_word(place[1])
    return f"{family} at {size}" if size else str(family)
