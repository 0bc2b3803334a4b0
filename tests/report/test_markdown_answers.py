"""Answers as tables: a row a thing that was asked, with the numbers of questions.py."""

from __future__ import annotations

import pytest

from isostate.report import markdown_answers as tables
from isostate.report import numbers, questions
from isostate.report.fits import fit_laws
from isostate.report.note import Studies, every_claim
from tests.report import planted_joint, studies


def cells(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()]


@pytest.fixture(scope="module")
def told():
    table = [row for row in studies.full() if row["status"] == "done"]
    for row in table:
        row["config"]["train"] = {"threads": 1}
    return {**numbers.of_study(table, []), "answers": questions.answers(table)}


def test_contexts_are_told_at_the_longest_evaluation_or_another_or_all(told):
    rows = cells(tables.contexts(told))[2:]
    assert {row[2] for row in rows} == {"1,024"}
    assert len(cells(tables.contexts(told, "all"))) > len(rows) + 2
    entry = next(
        entry
        for entry in told["answers"]["contexts"]
        if (entry["family"], entry["size"], entry["eval_context"]) == ("linear", "2x64", 1024)
    )
    mine = next(row for row in rows if row[:2] == ["linear", "2 × 64"])
    assert mine[3].startswith(f"2.05K: {entry['best_train_context_by_state']['2048']:,}")


def test_the_grid_holds_every_setting_at_its_context(told):
    head, _, *rows = cells(tables.grid(told))
    assert head == ["family", "layers × width", "state", "trained at 64", "trained at 256", "trained at 1,024"]
    gap = next(row for row in rows if row[:3] == ["window", "2 × 64", "2.05K"])
    assert gap[5] == ""  # planted
    want = next(
        setting["mean"]
        for setting in told["settings"]
        if (setting["family"], setting["size"], setting["train_context"], setting["state"])
        == ("window", "2x64", 64, 2048)
    )
    assert gap[3] == f"{want:.3f}"


def test_softmax_is_the_measure_of_the_others(told):
    head, _, *rows = cells(tables.against_softmax(told))
    assert head[3:] == ["linear behind by", "power-2 behind by", "taylor-2 behind by", "window behind by"]
    entry = next(
        entry
        for entry in told["answers"]["against_softmax"]
        if entry["eval_context"] == 1024 and entry["size"] == "2x64"
    )
    assert rows[0][2] == f"{entry['softmax']:.3f}"
    assert rows[0][3].replace("−", "-") == f"{entry['families']['linear']['behind_nats']:+.3f}"


def test_compute_and_times_have_a_row_for_each_family_and_budget(told):
    assert len(cells(tables.compute(told))) - 2 == len(told["answers"]["at_compute"])
    rows = cells(tables.budgets(told))[2:]
    assert len({row[1] for row in rows}) == tables.STOPS
    assert tables.budgets(told, "a100") == "*Nothing here yet.*"


def test_joint_laws_are_told_with_the_claimed_exponent():
    rows = planted_joint.params()
    entries = fit_laws(rows, {"fit": [{"law": "state-params"}]})
    joint = {"joint": [numbers.joint(entry) for entry in entries]}
    (row,) = cells(tables.joint(joint))[2:]
    assert row[:2] == ["power-2", "state-params"]
    assert float(row[2].split()[0]) == pytest.approx(planted_joint.ALPHA / planted_joint.BETA_N, abs=0.01)
    assert row[3] == "1"
    assert row[4].count(" at ") == len(planted_joint.SIZES)


def test_texts_are_told_by_part():
    row = {**studies.run(state=2_048), "corpus": "bard"}
    other = {**studies.run(state=8_192), "corpus": "bard"}
    told = {"answers": {"by_text": questions.by_text([row, other])}}
    (mine,) = cells(tables.texts(told))[2:]
    assert mine[:3] == ["bard", "all", "power-2"]
    gained = (row["final"]["1024"]["loss_nats"] - other["final"]["1024"]["loss_nats"]) / 2
    assert mine[4] == f"{gained:.4f}"


def test_what_was_not_asked_is_nothing_here_yet():
    for table in (tables.contexts, tables.against_softmax, tables.compute, tables.budgets, tables.texts):
        assert table({"answers": {}}) == "*Nothing here yet.*"


def test_published_points_and_claims():
    assert cells(tables.published(questions.published()))[3] == ["power-2", "19.5M", "2.476", "0.0966"]
    told = {claim.asked.key: claim.to_dict() for claim in every_claim(Studies([]))}
    rows = cells(tables.claims(told))[2:]
    assert len(rows) == len(told)
    assert [row[2] for row in rows if "122 million" in row[0]] == ["**confirmed**"]
    assert {row[4] for row in cells(tables.claims(told, "02_context"))[2:]} == {"02_context"}
    assert cells(tables.parts(told, "limit"))[2:] == [["122,880,000", "confirmed"]]
