"""The alphabet: one letter, one meaning."""

import re

from isostate.notation import ALPHABET


def test_a_name_is_one_capital_letter():
    assert [letter for letter in ALPHABET if not re.fullmatch("[A-Z]", letter)] == []


def test_no_two_letters_share_a_meaning():
    assert len(set(ALPHABET.values())) == len(ALPHABET)


def test_the_letters_of_the_design_mean_what_it_says(shared):
    design = (shared / "DESIGN.md").read_text()
    table = design.split("## The alphabet")[1].split("The law symbols")[0]
    letters = re.findall(r"(?:^ {4}| {2,})([A-Z]) [a-z]", table, flags=re.M)
    assert len(letters) >= 17
    assert set(letters) <= set(ALPHABET)
