"""isostate.cli.laws."""

from __future__ import annotations

from pathlib import Path

import pytest

from isostate.cli.laws import Request
from isostate.config import UserError


def test_nothing_given_is_nothing_to_refuse():
    Request().refuse("a reason")
    Request(runs=Path("elsewhere")).refuse("a reason")
    Request(level=0.9).refuse("a reason", besides=("level",))


@pytest.mark.parametrize(
    "given, option",
    [({"table": "runs.csv"}, "TABLE"), ({"law": "kaplan"}, "--law"), ({"where": ("a>1",)}, "--where"),
     ({"level": 0.9}, "--level"), ({"bootstrap": 0}, "--bootstrap"), ({"seed": 1}, "--seed")],
)  # fmt: skip
def test_what_nobody_would_read_is_refused(given, option):
    with pytest.raises(UserError, match=f"^a reason; leave {option} out$"):
        Request(**given).refuse("a reason")
