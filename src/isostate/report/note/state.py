"""What the note claims of the state itself: that loss falls with it, and which family uses it best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from isostate.report import claims, equal_state, labels
from isostate.report import rows as runs
from isostate.report.claims import NEGATIVE, POSITIVE
from isostate.report.equal_state import Matched
from isostate.report.fits import of_state
from isostate.report.note.claim import NOTE, Asked, Claim, Part, judge, minus
from isostate.report.note.studies import STATE_LAWS, Studies, Study, by_state, on_noise, places
from isostate.report.seeds import Means

FALLS = Asked("falls", "“a clear pattern of improved performance as the state size grows”", NOTE, STATE_LAWS)
BEATS = Asked("beats", "“the multilinear smokes the rest” at equal state: gated against gated", NOTE, STATE_LAWS)
BEATS_BARE = Asked("beats-ungated", "“the multilinear smokes the rest” at equal state: without gates", NOTE, STATE_LAWS)
TAYLOR = Asked("taylor", "the second-order Taylor map improves linear transformers: keys of one size", NOTE, STATE_LAWS)
TAYLOR_EQUAL = Asked("taylor-equal", "the second-order Taylor map improves linear transformers: at equal state", NOTE,
                     STATE_LAWS)  # fmt: skip
NOTES_FAMILIES = ("window", "taylor", "linear", "power")  # whatever their degree, with gates or without

CHAMPIONS = {"power-2-gated": BEATS, "power-2": BEATS_BARE}
TAYLOR_PAIRS = (("taylor-2", "linear"), ("taylor-2-gated", "linear-gated"))


def of_the_state(studies: Studies) -> list[Claim]:
    """In the note's order."""
    return [
        falls(studies),
        *(beats(studies, asked, champion) for champion, asked in CHAMPIONS.items()),
        taylor(studies),
        taylor_at_equal_state(studies),
    ]


def falls(studies: Studies) -> Claim:
    """The fall from the smallest to the largest state of the note's families, with no rise to the largest on the way.

    A rise is taken from every smaller state, at a level shared over them. Other families are told beside.
    """
    study, means = studies[STATE_LAWS], studies.means(STATE_LAWS)
    parts: list[Part] = []
    beside: list[Part] = []
    rises: list[str] = []
    for place in places(means):
        states = by_state(means, place)
        if len(states) > 1:
            *smaller, largest = states
            against = tuple(means.difference(states[largest], states[state]) for state in smaller)
            fall = means.difference(states[smaller[0]], states[largest])
            part = Part(_named(study, place), fall, POSITIVE, against=against)
            (parts if place[0].startswith(NOTES_FAMILIES) else beside).append(part)
            rises += _risen(part, smaller)
    told = [f"above a smaller state at the largest: {', '.join(rises)}"] if rises else []
    told += [f"beside: {', '.join(part.told() for part in beside)}"] if beside else []
    return judge(
        FALLS,
        parts,
        "fall in nats from the smallest to the largest state",
        more=[*told, _exponents(study), on_noise(means.noise)],
        trained=bool(study.finished),
    )


def _risen(part: Part, smaller: Sequence[int]) -> list[str]:
    """'linear +0.348 [+0.212, +0.481] from 1.92K' for the largest rise, if it is one by the level that all share."""
    state, rise = max(zip(smaller, part.against, strict=True), key=lambda found: found[1].value)
    level = claims.strict(len(smaller))
    low, high = rise.interval(level)
    if low is None or high is None or low <= 0:
        return []
    ends = f"[{minus(low, part.spec)}, {minus(high, part.spec)}]"
    return [f"{part.what} {minus(rise.value, part.spec)} {ends} from {labels.decimal(state)}"]


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


def claimed(champion: str, rival: str) -> bool:
    """Whether the note holds the champion to be better at equal state, the rival gated as it is."""
    return (champion, rival) in TAYLOR_PAIRS or (champion in CHAMPIONS and _rivals(champion, rival))


def _rivals(champion: str, family: str) -> bool:
    gated = family.endswith("-gated") or family.startswith("mamba")
    return not family.startswith(("power", "softmax")) and (family == "window" or gated == champion.endswith("-gated"))


def _taylor_pairs(study: Study) -> list[tuple[str, str]]:
    """(Taylor-2, the linear family that has a gate where it has one)."""
    families = {row["family"] for row in study.finished}
    return [pair for pair in TAYLOR_PAIRS if families.issuperset(pair)]


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
