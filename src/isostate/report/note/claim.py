"""A claim with its parts, each an estimate held against the values that the claim allows, and the words for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from isostate.report import claims
from isostate.report.claims import POSITIVE, Range, Verdict
from isostate.report.seeds import Estimate

NOT_TRAINED = "not trained yet"
LACKING = "the study's records lack the runs, or the law, that it asks for"
FEW = 4  # parts that are all named
NOTE = "the note"
SINCE = "published since"


@dataclass(frozen=True)
class Asked:
    """What is claimed: a key for tables, a sentence that quotes it, where it stands, the study that answers it."""

    key: str
    claim: str
    source: str
    chapter: str


@dataclass(frozen=True)
class Part:
    """One number that a claim speaks of, the values that it allows, and how the number is written.

    `against`: numbers of which one above 0 is enough to refute the part, at a level that they share. A part that is no
    `refuter` is asked for by a confirmation, and says nothing against the claim.
    """

    what: str
    estimate: Estimate
    allowed: Range
    within: float = 0.0
    spec: str = "+.3f"
    against: tuple[Estimate, ...] = ()
    refuter: bool = True

    def verdict(self, level: float = claims.LEVEL) -> Verdict:
        """By the interval of that level."""
        shared = claims.strict(len(self.against), level)
        if any(claims.verdict(*one.interval(shared), POSITIVE) == "confirmed" for one in self.against):
            return "refuted"
        found = claims.verdict(*self.estimate.interval(level), self.allowed, self.within)
        return "undecided" if found == "refuted" and not self.refuter else found

    def told(self) -> str:
        """'window +0.071 [+0.065, +0.077]'."""
        (low, high), spec = self.estimate.interval(), self.spec
        if low == high == self.estimate.value:
            return f"{self.what} {minus(low, spec)}".strip()
        ends = "no interval" if low is None or high is None else f"[{minus(low, spec)}, {minus(high, spec)}]"
        return f"{self.what} {minus(self.estimate.value, spec)} {ends}".strip()

    def to_dict(self) -> dict[str, Any]:
        return {"what": self.what, **self.estimate.to_dict(), "verdict": self.verdict(), "told": self.told()}


@dataclass(frozen=True)
class Claim:
    """A claim as it was judged."""

    asked: Asked
    verdict: Verdict
    evidence: str
    parts: tuple[Part, ...] = ()

    def row(self) -> dict[str, str]:
        """For a page or a table: words alone."""
        told = {"claim": self.asked.claim, "source": self.asked.source, "verdict": self.verdict}
        return {**told, "evidence": self.evidence, "chapter": self.asked.chapter}

    def to_dict(self) -> dict[str, Any]:
        """The row with its key and its parts."""
        return {"key": self.asked.key, **self.row(), "parts": [part.to_dict() for part in self.parts]}


def minus(value: float, spec: str = ".3f") -> str:
    """A number in words, its sign and its lack of an end written as print has them."""
    return format(value, spec).replace("-", "−").replace("inf", "∞")


def judge(
    asked: Asked,
    parts: Sequence[Part],
    unit: str,
    *,
    trained: bool,
    how: Literal["all", "any"] = "all",
    more: Sequence[str] = (),
) -> Claim:
    """The claim by all of its parts, or by any; `more` follows in words.

    Without parts its study is not `trained` yet, or lacks the runs that the claim asks for.
    """
    if not parts:
        return Claim(asked, "undecided", LACKING if trained else NOT_TRAINED)
    strictly = [part.verdict(claims.strict(len(parts))) for part in parts]
    rule = claims.all_of if how == "all" else claims.any_of
    found = rule([part.verdict() for part in parts], strictly)
    words = [f"{unit}: {_listed(parts)}", *(told for told in more if told)]
    return Claim(asked, found, "; ".join(words), tuple(parts))


def _listed(parts: Sequence[Part]) -> str:
    """Few parts by name; of many how many are confirmed, the two ends, and who is not."""
    if len(parts) <= FEW:
        return ", ".join(part.told() for part in parts)
    by_verdict: dict[Verdict, list[Part]] = {"confirmed": [], "undecided": [], "refuted": []}
    for part in parts:
        by_verdict[part.verdict()].append(part)
    ordered = sorted(parts, key=lambda part: part.estimate.value)
    counted = (
        f"{len(by_verdict['confirmed'])} of {len(parts)} confirmed, from {ordered[0].told()} to {ordered[-1].told()}"
    )
    others = [
        f"{kind}: {', '.join(part.told() if len(found) <= FEW else part.what for part in found)}"
        for kind, found in by_verdict.items()
        if found and kind != "confirmed"
    ]
    return "; ".join([counted, *others])
