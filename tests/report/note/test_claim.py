"""A claim of several parts: who decides it, and how it is told."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from isostate.report.claims import POSITIVE
from isostate.report.note.claim import LACKING, NOT_TRAINED, Asked, Part, judge
from isostate.report.seeds import Estimate, exactly

ASKED = Asked("key", "loss falls", "the note", "01_state_laws")


def part(name: str, centre: float, width: float = 0.02) -> Part:
    return Part(name, Estimate(centre, np.linspace(centre - width, centre + width, 1001)), POSITIVE)


def verdict(*centres: float, how="all") -> str:
    return judge(
        ASKED, [part(str(i), centre) for i, centre in enumerate(centres)], "nats", how=how, trained=True
    ).verdict


@pytest.mark.parametrize(
    ("centres", "how", "want"),
    [
        ((0.1, 0.2), "all", "confirmed"),
        ((0.1, 0.0), "all", "undecided"),
        ((0.1, -0.1), "all", "refuted"),
        ((0.1, -0.1), "any", "confirmed"),
        ((-0.2, -0.1), "any", "refuted"),
        ((-0.2, 0.0), "any", "undecided"),
    ],
)
def test_all_parts_must_hold_or_any(centres, how, want):
    assert verdict(*centres, how=how) == want


def test_one_part_among_many_refutes_only_by_a_stricter_interval():
    at_the_edge = -0.0195  # its 95 % interval ends at -0.0005; that of one part of ten, 99.5 %, above 0
    assert verdict(at_the_edge) == "refuted"
    assert verdict(*[0.1] * 9, at_the_edge) == "undecided"
    assert verdict(*[-0.1] * 9, 0.0195, how="any") == "undecided"


def test_a_part_may_be_refuted_by_any_of_several_numbers_at_a_level_that_they_share():
    holds, rises, at_the_edge = part("a", 0.1), part("", 0.05).estimate, part("", 0.0195).estimate
    assert replace(holds, against=(rises,)).verdict() == "refuted"
    assert replace(holds, against=(at_the_edge,)).verdict() == "refuted"  # as 95 % has it
    assert replace(holds, against=(at_the_edge,) * 10).verdict() == "confirmed"
    assert replace(holds, against=(at_the_edge,)).verdict(0.995) == "confirmed"
    assert replace(holds, against=(part("", 0.0).estimate,)).verdict() == "confirmed"  # never undecided by a rise alone


def test_what_a_confirmation_asks_for_may_say_nothing_against_the_claim():
    assert part("a", -0.1).verdict() == "refuted"
    assert replace(part("a", -0.1), refuter=False).verdict() == "undecided"
    assert replace(part("a", 0.1), refuter=False).verdict() == "confirmed"


def test_few_parts_are_told_by_name_and_of_many_the_ends_and_who_failed():
    few = judge(ASKED, [part("window", 0.1), part("linear", 0.2)], "nats", more=["", "noise 0.1"], trained=True)
    assert few.evidence == "nats: window +0.100 [+0.081, +0.119], linear +0.200 [+0.181, +0.219]; noise 0.1"
    many = judge(
        ASKED,
        [part(name, centre) for name, centre in zip("abcdef", (1, 2, 3, 4, 5, -1), strict=True)],
        "nats",
        trained=True,
    )
    assert many.evidence == (
        "nats: 5 of 6 confirmed, from f −1.000 [−1.019, −0.981] to e +5.000 [+4.981, +5.019]; refuted: f −1.000 "
        "[−1.019, −0.981]"
    )


def test_without_parts_it_is_not_trained_yet():
    assert judge(ASKED, [], "nats", trained=True).evidence == LACKING
    claim = judge(ASKED, [], "nats", trained=False)
    assert (claim.verdict, claim.evidence) == ("undecided", NOT_TRAINED)
    want = {"claim": "loss falls", "source": "the note", "chapter": "01_state_laws"}
    assert claim.row() == {**want, "verdict": "undecided", "evidence": "not trained yet"}
    assert claim.to_dict() == {"key": "key", **claim.row(), "parts": []}


def test_open_ends_and_missing_intervals_are_told():
    assert Part("", Estimate(2.0, ends=(1.0, math.inf)), POSITIVE, spec=".1f").told() == "2.0 [1.0, ∞]"
    assert Part("a", exactly(61), POSITIVE, spec=".0f").told() == "a 61"
    assert Part("a", Estimate(2.0), POSITIVE, spec=".1f").told() == "a 2.0 no interval"
