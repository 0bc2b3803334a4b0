"""Tables of single settings, of what state gains, of pairs and of learning rates."""

from __future__ import annotations

from itertools import combinations

import pytest

from isostate.report import markdown_settings as tables
from isostate.report import numbers
from isostate.report.note import Studies, Study
from isostate.report.note.state import comparisons
from tests.report import planted_article, studies
from tests.report.test_markdown import cells

WIDTHS = (186, 170, 140, 90, 40, 11)  # of the feed-forward, which pays for the state


def run(family: str, i: int, **changes) -> dict:
    row = studies.run(family, state=studies.STATES[i], **changes)
    row["config"] |= {"train": {"threads": 1}, "model": {"d_ff": WIDTHS[i] if family == "power-2" else 100}}
    row["mixer"] = {"kind": family, "n_heads": 8, "head_dim": 2 + i} if family == "power-2" else {"window": 4**i}
    return row


@pytest.fixture(scope="module")
def told():
    """Two families of six states, three seeds, and two further rates of the last window."""
    rows = [run(family, i, seed=seed) for family in ("power-2", "window") for i in range(6) for seed in (0, 1, 2)]
    for lr, worse in ((0.001, 0.3), (0.012, 0.1)):
        tried = run("window", 5, lr=lr, run_id=f"{lr:016}")
        tried["final"]["1024"]["loss_nats"] += worse
        rows.append(tried)
    return {**numbers.of_study(rows, []), "tuned": {"window": {"4": 0.004, "16": 0.004, "64": 0.016}}}


def test_a_setting_is_a_row_with_its_knob_its_state_and_who_paid_for_it(told):
    text = tables.settings(told)
    assert text.startswith("<details>\n<summary>All 12 settings</summary>\n\n| family | knob |")
    rows = [row for row in cells(text) if row[0] in ("power-2", "window")]
    first = next(s for s in told["settings"] if (s["family"], s["state"]) == ("power-2", 2_048))
    assert rows[0] == [
        "power-2", "head size 2", "2,048", "128 (6.2 %)", "186", "0.003", f"{first['mean']:.3f}", f"{first['sd']:.4f}",
        "3",
    ]  # fmt: skip
    assert [row[4] for row in rows] == [*map(str, WIDTHS), *["100"] * 6]
    assert [row[1] for row in rows[6:8]] == ["window 1", "window 4"]


def test_a_family_without_a_knob_has_none():
    (setting,) = numbers.of_study([run("window", 3)], [])["settings"]
    assert setting["knob"] is None
    assert "| – |" in tables.settings({"settings": [setting]})


def test_a_family_is_told_from_its_smallest_state_to_its_largest(told):
    first, second = cells(tables.by_state(told))[2:]
    assert first[:2] == ["power-2", "2.05K, 4.1K, 8.19K, 16.4K, 32.8K, 65.5K"]
    assert first[3] == "186, 170, 140, 90, 40, 11"
    assert second[3] == ", ".join(["100"] * 6)
    assert first[4] == "6.2 % to 0.2 %"
    assert first[2].count(",") == 5


def test_the_noise_of_each_family_stands_beside_all_together(told):
    rows = cells(tables.noise(told))[2:]
    assert [row[:3] for row in rows] == [
        ["power-2", "6 of 6", "12"],
        ["window", "6 of 6", "12"],
        ["all, pooled", "12 of 12", "24"],
    ]
    assert rows[2][3] == f"{told['seed_noise']['sd']:.4f}"
    by_rate = cells(tables.noise(told, "rate"))[2:]
    assert by_rate[0] == ["0.003", "12 of 12", "24", rows[2][3]]


def test_a_setting_of_several_rates_shows_them_all_and_which_is_drawn(told):
    head, _, row = cells(tables.by_rate(told))
    assert head == ["family", "state", "at 0.001", "at 0.003", "at 0.012"]
    assert row[:2] == ["window", "65.5K"]
    last = run("window", 5, seed=0)["final"]["1024"]["loss_nats"]  # the seed that the other rates have
    assert row[3] == f"**{last:.3f}**"
    assert [float(row[2]) - last, float(row[4]) - last] == pytest.approx([0.3, 0.1], abs=0.001)
    assert "**" not in row[2] + row[4]


def test_effects_have_intervals_and_nothing_is_lost_where_the_largest_is_best(told):
    effects = cells(tables.effects(told))[2:]
    assert [row[0] for row in effects] == ["power-2", "window"]
    fall = told["effects"][0]["fall"]
    assert effects[0][3] == f"+{fall['value']:.3f} [+{fall['low']:.3f}, +{fall['high']:.3f}]"
    assert effects[0][5:] == ["0", "0"]


def test_learning_rates_tell_where_they_were_tuned(told):
    assert cells(tables.rates(told))[2:] == [
        ["power-2", "–", "0.003"],
        ["window", "0.004 (4, 16); 0.016 (64)", "0.003"],
    ]
    softmax = {"tuned": {"softmax": {"0": 0.004}}, "rates": {"softmax": [0.004]}}
    assert cells(tables.rates(softmax))[2:] == [["softmax", "0.004", "0.004"]]


def pair(first: str, second: str, value: float = -0.2) -> dict:
    ends = {"value": value, "low": value - 0.1, "high": value + 0.1}
    place = {"size": "2x64", "train_context": 256, "condition": "bard", "low": 2_048, "high": 65_536}
    return {"first": first, "second": second, **place, "difference": ends, "in_noise": 20 * value, "ahead": 5, "of": 6,
            "better": first}  # fmt: skip


def test_pairs_of_claims_stand_before_the_others_the_claimed_family_first():
    entries = [
        pair("linear", "power-2"), pair("linear", "window"), pair("linear-gated", "taylor-2-gated"),
        pair("power-2-gated", "window"), pair("power-2", "power-2-gated"), pair("mamba2", "power-2"),
    ]  # fmt: skip
    shown, _, hidden = tables.equal_state({"equal_state": entries}).partition("<details>")
    rows = cells(shown.strip())
    assert rows[0][4] == "states where the first is better"
    assert [row[0] for row in rows[2:]] == [
        "power-2 less linear", "power-2-gated less window", "taylor-2-gated less linear-gated",
    ]  # fmt: skip
    assert rows[2][1:] == ["2.05K to 65.5K", "+0.200 [+0.100, +0.300]", "+4.0", "1 of 6", "linear"]
    assert rows[3][1:] == ["2.05K to 65.5K", "−0.200 [−0.300, −0.100]", "−4.0", "5 of 6", "power-2-gated"]
    assert "The other 3 pairs" in hidden
    assert all(f"| {names} |" in hidden for names in ("linear less window", "mamba2 less power-2"))


def test_the_pairs_of_claims_are_those_that_the_claims_compare():
    study = Study("01_state_laws", [row for row in planted_article.state_laws() if row["d_model"] == 64])
    means = Studies([study]).means("01_state_laws")
    compared = {
        f"{champion} less {rival}"
        for champion in ("power-2", "power-2-gated")
        for rival, _, _ in comparisons(means, champion)
    }
    entries = [pair(*names) for names in combinations(sorted({row["family"] for row in study.finished}), 2)]
    shown = tables.equal_state({"equal_state": entries}).partition("<details>")[0]
    assert {row[0] for row in cells(shown.strip())[2:]} == compared | {"taylor-2-gated less linear-gated"}


def test_pairs_without_claims_are_folded_and_none_is_said(told):
    assert tables.equal_state({"equal_state": [pair("linear", "window")]}).startswith("<details>")
    assert tables.equal_state({"equal_state": []}) == "*Nothing here yet.*"
    assert "power-2 less window" in tables.equal_state(told)
