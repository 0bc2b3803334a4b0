"""Held out: whole documents where they fit, the end of one where they do not; never both sides of the same text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isostate.config import UserError
from isostate.data.holdout import assign, choose_holdout, cut_end
from isostate.data.textfiles import Document


@given(sizes=st.lists(st.integers(1, 5_000), min_size=1, max_size=40), share=st.floats(0.01, 0.5))
def test_both_sides_have_text_and_the_share_is_kept(sizes, share):
    documents = [Document(f"{i}", "ab\n" * size) for i, size in enumerate(sizes)]
    n_bytes = [len(document.text) for document in documents]
    holdout = choose_holdout([document.name for document in documents], n_bytes, share)
    wanted = int(share * sum(n_bytes))
    if wanted < 4:
        return
    sides = {"train": "", "heldout": ""}
    for split, document in assign(documents, holdout):
        sides[split] += document.text
    assert wanted / 2 <= len(sides["heldout"]) <= 1.5 * wanted
    assert len(sides["train"]) + len(sides["heldout"]) == sum(n_bytes)
    assert sides["train"]


def test_one_more_document_moves_few_others():
    names = [f"document {i}" for i in range(200)]
    before = choose_holdout(names, [100] * 200, 0.1).whole
    after = choose_holdout([*names, "another"], [100] * 201, 0.1).whole
    assert len(before) == len(after) == 20
    assert len(before & after) >= 19


def test_the_order_of_documents_decides_nothing():
    names = [f"document {i}" for i in range(50)]
    held = choose_holdout(names, [100] * 50, 0.2).whole
    held_of_reversed = choose_holdout(names[::-1], [100] * 50, 0.2).whole
    assert {names[i] for i in held} == {names[::-1][i] for i in held_of_reversed}


def test_one_document_is_cut_at_a_line_and_its_end_held_out():
    text = "".join(f"line {i}\n" for i in range(1_000))
    [(train, first), (heldout, rest)] = assign([Document("a", text)], choose_holdout(["a"], [len(text)], 0.1))
    assert (train, heldout) == ("train", "heldout")
    assert first.text + rest.text == text
    assert rest.text.startswith("line 9")
    assert rest.name == "a (end)"
    assert len(rest.text) == pytest.approx(0.1 * len(text), rel=0.02)


@given(st.text(min_size=2, max_size=200), st.integers(1, 50))
def test_a_cut_never_splits_a_character(text, n_bytes):
    if n_bytes < len(text.encode("utf-8")):
        first, rest = cut_end(text, n_bytes)
        assert first + rest == text
        assert len(rest.encode("utf-8")) >= n_bytes


def test_a_text_too_short_to_cut_is_refused():
    with pytest.raises(UserError, match="too short to hold out a part"):
        list(assign([Document("a", "x")], choose_holdout(["a"], [1], 0.1)))
