"""The article: its own template can be filled, with or without records, and mistakes in it are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from isostate.config import UserError
from isostate.report import numbers, questions
from isostate.report.fits import fit_laws
from isostate.report.markdown_article import article
from isostate.report.note import Studies, Study, every_claim
from tests.report import studies

TEMPLATE = Path(__file__).parents[2] / "studies" / "reference" / "article.md"


@pytest.fixture(scope="module")
def found():
    """One study with records, and the claims held against it."""
    table = [
        studies.run(family, state=s, seed=i) for family in ("power-2", "window") for s in studies.STATES for i in (0, 1)
    ]
    for row in table:
        row["config"]["train"] = {"threads": 1}
    laws = fit_laws(table, studies.STUDY)
    told = {**numbers.of_study(table, laws), "missing": [], "tuned": {}, "answers": questions.answers(table)}
    return {"01_state_laws": told}, every_claim(Studies([Study("01_state_laws", table, laws)]))


def test_a_number_a_table_and_a_claim_are_filled_in(found):
    every, claims = found
    text = article(
        "{{ 01_state_laws.seed_noise.dof }} {{ claims.falls.verdict }}\n{{ table: effects 01_state_laws }}",
        every,
        claims,
    )
    first, *rows = text.splitlines()
    assert first == "12 confirmed"
    assert rows[2].startswith("| power-2 | 6 | 65.5K | +0.")


@pytest.mark.parametrize(
    ("placeholder", "told"),
    [
        ("table: laws 01_state_law", "no study with records '01_state_law' (did you mean \"01_state_laws\"?)"),
        ("table: laws", "name a study with records"),
        ("table: parts fall", "no claim 'fall' (did you mean \"falls\"?)"),
        ("claims.fals.verdict", "no 'fals' there"),
    ],
)
def test_a_mistake_is_one_clear_error(found, placeholder, told):
    with pytest.raises(UserError) as error:
        article(f"{{{{ {placeholder} }}}}", *found, name="article.md")
    assert told in str(error.value)
    assert str(error.value).startswith("article.md: ")


def test_the_committed_template_can_be_filled_before_anything_is_trained():
    text = article(TEMPLATE.read_text(), {}, every_claim(Studies([])))
    assert "{{" not in text
    assert text.count("Not trained yet") == 10  # five parts of the summary and five questions
    assert text.count("**undecided**") == sum(claim.verdict == "undecided" for claim in every_claim(Studies([])))


def test_the_committed_template_can_be_filled_from_five_studies_of_which_some_repeat_no_seed(found):
    table = [row for row in studies.full() if row["status"] == "done" and row["seed"] == 0]
    for row in table:
        row["config"]["train"] = {"threads": 1}
    single = {**numbers.of_study(table, []), "missing": ["x"], "tuned": {}, "answers": questions.answers(table)}
    assert single["seed_noise"]["sd"] is None
    file = {"file": {"train": {"steps": 2_000, "batch_tokens": 1_024}, "eval": {"n_tokens": 8_192}}}
    first, single = {**found[0]["01_state_laws"], **file}, {**single, **file}
    names = ("02_context", "03_model_size", "04_time_budgets", "05_data")
    text = article(TEMPLATE.read_text(), {"01_state_laws": first, **dict.fromkeys(names, single)}, found[1])
    assert "{{" not in text
    assert "Not trained yet" not in text
    assert "the same 2,000 updates of\n1,024 tokens" in text
