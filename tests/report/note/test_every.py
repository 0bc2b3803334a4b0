"""The list of claims as a page and an article take it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from isostate.report.claims import Verdict
from isostate.report.note import Studies, every_claim

NAMES = {path.stem for path in (Path(__file__).parents[3] / "studies" / "reference").glob("0*.toml")}


def test_every_claim_is_a_row_of_words_and_belongs_to_a_study():
    rows = [claim.row() for claim in every_claim(Studies([]))]
    for row in rows:
        assert row.keys() == {"claim", "source", "verdict", "evidence", "chapter"}
        assert row["verdict"] in get_args(Verdict)
        assert row["chapter"] in NAMES
        assert all(isinstance(value, str) and value for value in row.values())


def test_keys_are_unique():
    keys = [claim.asked.key for claim in every_claim(Studies([]))]
    assert len(keys) == len(set(keys))
