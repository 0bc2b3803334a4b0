"""docs/errata.md: no row is missing, and every test that a row names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "errata.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
ROWS = {
    cells[0]: cells[1:] for cells in (line[2:-2].split(" | ") for line in re.findall(r"^\| [NALW]?\d.*$", PAGE, re.M))
}
# What the inference note and the article print, each in a row of its own, in order.
WRONG_IN_THE_NOTE = (
    "5.6 GB", "5x", "5d", "softmax(QK^T)V", "277", "16.25", "~2 tokens/s", "fp32", "1 GFLOP", "Llama7B", "parallel",
    "identical",
)  # fmt: skip
WRONG_IN_THE_ARTICLE = ("52e12", "23,000", "8000", "208", "multiply-accumulates", "2 4 n 8 us", "260B")


def rows_of(mark: str) -> list[list[str]]:
    numbered = [name for name in ROWS if re.fullmatch(rf"{mark}\d+", name)]
    assert numbered == [f"{mark}{i}" for i in range(1, len(numbered) + 1)], "each number once, in order"
    return [ROWS[name] for name in numbered]


def names_in(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def test_all_42_rows_of_the_notes_are_told():
    assert len(rows_of("")) == 42


@pytest.mark.parametrize("mark, wrong", [("N", WRONG_IN_THE_NOTE), ("A", WRONG_IN_THE_ARTICLE)])
def test_every_error_of_the_note_and_the_article_is_told(mark, wrong):
    told = [says for _, says, *_ in rows_of(mark)]
    assert len(told) == len(wrong)
    assert [print_ for print_, says in zip(wrong, told, strict=True) if print_ not in says] == []


def test_what_is_wrong_with_the_list_itself_is_told():
    places = " ".join(place for place, *_ in rows_of("L"))
    assert all(name in places for name in ("ERRATA 28", "ERRATA 29", "ERRATA 39", "table 5", "not in the list"))
    assert len(rows_of("W")) >= 19


@pytest.mark.parametrize("row", ROWS)
def test_a_row_says_both_and_names_tests_that_exist(row):
    *told, last = ROWS[row]
    assert len(told) == (1 if row.startswith("W") else 4)
    if not row.startswith("W"):
        assert told[1].strip(), "what is wrong"
        assert told[2].strip(), "what is right"
        assert told[1] != told[2]
    named = NAMED.findall(last)
    assert named, "no test"
    assert last == "<br>".join(f"`{path}::{name}`" for path, name in named), "only tests, each whole"
    for path, name in named:
        assert name in names_in(path), f"{path} has no {name}"


def test_the_tests_under_errata_are_all_named():
    ours = {(p.relative_to(ROOT).as_posix(), n) for p in (ROOT / "tests" / "errata").glob("test_*.py")
            for n in names_in(p.relative_to(ROOT).as_posix())}  # fmt: skip
    assert ours - set(NAMED.findall(PAGE)) == set()
