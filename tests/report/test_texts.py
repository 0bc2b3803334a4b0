"""What state is worth by text, and the loss on answers: the numbers of questions.by_text, drawn."""

from __future__ import annotations

import math
from html import unescape

import pytest

from isostate.report import questions
from isostate.report.texts import by_text, recall_answers
from tests.report import planted_article, studies
from tests.report.test_figures import opened


@pytest.fixture(scope="module")
def rows():
    return planted_article.texts()


def worth(view):
    """(text, family) -> nats a doubling, as drawn: the large markers on the right."""
    dots = [t for t in view["data"] if t.get("xaxis") == "x2" and len(t["x"]) == 1]
    return {(unescape(trace["y"][0]), trace["meta"]["family"]): trace["x"][0] for trace in dots}


def test_one_text_is_told_what_would_fill_it():
    assert "[[text]]" in by_text([studies.run()])["empty"]


@pytest.mark.parametrize("place, part", [(0, "all"), (1, "text"), (2, "answers")])
def test_a_doubling_is_worth_what_the_questions_say(rows, place, part):
    figure = by_text(rows)
    assert [option["value"] for option in figure["controls"][-1]["options"]] == ["all", "text", "answers"]
    told = {
        (entry["text"], entry["family"]): entry["nats_a_doubling"]
        for entry in questions.by_text(rows)
        if (entry["eval_context"], entry["part"]) == (1_024, part)
    }
    drawn = worth(figure["views"][f"0.0.1.{place}"])
    assert {key: drawn[key] for key in told} == pytest.approx(told)
    assert len(drawn) == {"all": 8, "text": 8, "answers": 2}[part]


def test_the_planted_order_of_texts_is_the_drawn_one(rows):
    drawn = worth(opened(by_text(rows)))
    texts = (planted_article.BARD, planted_article.PYTHON, planted_article.RECALL, planted_article.SPREAD)
    for family in ("window", "power-2-gated"):
        values = [drawn[text, family] for text in texts]
        assert values == sorted(values)


def test_gains_begin_at_nothing_and_rise_to_the_fall_of_the_loss(rows):
    left = [
        t for t in opened(by_text(rows))["data"] if "xaxis" not in t and t["x"] != [None] and t["mode"] == "markers"
    ]
    assert all(trace["y"][0] == 0.0 for trace in left)
    mine = [row for row in rows if (row["corpus"], row["family"]) == (planted_article.BARD, "window")]
    ends = [
        [row["final"]["1024"]["loss_nats"] for row in mine if row["state"]["elements"] == state]
        for state in (1_792, 8_960)
    ]
    fall = sum(ends[0]) / 2 - sum(ends[1]) / 2
    assert any(trace["y"][-1] == pytest.approx(fall) and trace["meta"]["family"] == "window" for trace in left)


def test_each_seed_stands_beside_the_mean(rows):
    right = [t for t in opened(by_text(rows))["data"] if t.get("xaxis") == "x2"]
    pairs = [t for t in right if len(t["x"]) == 2]
    assert len(pairs) == 8
    means = worth(opened(by_text(rows)))
    for trace in pairs:
        assert sum(trace["x"]) / 2 == pytest.approx(means[unescape(trace["y"][0]), trace["meta"]["family"]])


def test_names_of_rows_stand_on_their_rows(rows):
    layout = opened(by_text(rows))["layout"]
    assert [unescape(note["y"]) for note in layout["annotations"]] == sorted({row["corpus"] for row in rows})
    low, high = layout["xaxis2"]["range"]
    assert low == 0.0 < min(worth(opened(by_text(rows))).values()) < high
    assert 0.0 in layout["xaxis2"]["tickvals"]


def test_a_text_on_which_state_costs_has_its_axis_below_nothing():
    rows = [studies.run(state=state, corpus=text) for text in ("a", "b") for state in (2_048, 8_192)]
    for row in rows:
        row["final"]["1024"]["loss_nats"] = row["state"]["elements"] / 1_000
    low, high = opened(by_text(rows))["layout"]["xaxis2"]["range"]
    assert low < -3.0 < 0.0 <= high


def test_answers_are_the_loss_on_answers_below_the_logarithm_of_values(rows):
    view = opened(recall_answers(rows))
    means = [trace for trace in view["data"] if trace["mode"] == "markers" and len(trace["x"]) == 4]
    assert [trace["meta"]["family"] for trace in means] == ["power-2-gated", "window"]
    assert means[0]["y"] == pytest.approx([math.log(64) - math.log2(x / 1_920) / 3 for x in means[0]["x"]])
    assert view["layout"]["shapes"][0]["y0"] == pytest.approx(math.log(64))
    assert view["note"] == "Dotted: ln 64 = 4.16 nats."


def test_without_recall_the_answers_say_what_fills_them():
    assert "[data.recall]" in recall_answers([studies.run()])["empty"]


def test_a_loss_on_answers_that_was_not_finite_is_left_out(rows):
    changed = [{**row, "final": {c: dict(final) for c, final in row["final"].items()}} for row in rows]
    lost = next(row for row in changed if "parts" in row["final"]["1024"])
    for final in lost["final"].values():
        final["parts"] = {**final["parts"], "answers": {"loss_nats": None, "n_tokens": 5}}
    drawn = worth(by_text(changed)["views"]["0.0.1.2"])
    assert len(drawn) == 2
    assert all(math.isfinite(value) for value in drawn.values())
