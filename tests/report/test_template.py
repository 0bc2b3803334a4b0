"""A filled text holds what the numbers hold; what cannot be filled is told, all of it in one line."""

from __future__ import annotations

import math

import pytest

from isostate.config import UserError
from isostate.report.template import fill

VALUES = {
    "01_laws": {
        "noise": {"sd": 0.00412, "dof": 36},
        "fall": -0.0712,
        "name": "power-2-gated",
        "missing": [],
        "laws": [
            {"group": {"family": "window", "size": "4x64"}, "alpha": {"value": 0.312, "low": 0.2, "high": None}},
            {"group": {"family": "power-2", "size": "4x64"}, "alpha": {"value": 0.4, "low": 0.31, "high": math.inf}},
        ],
        "texts": [{"text": "bard + recall of 8 at 64, 25 %", "loss": 4.5}, {"text": "bard", "loss": 3.25}],
    }
}
TABLES = {"laws": lambda *asked: f"| {' '.join(asked)} |"}


def filled(template: str) -> str:
    return fill(template, VALUES, TABLES, "article.md")


@pytest.mark.parametrize(
    ("placeholder", "text"),
    [
        ("01_laws.noise.sd | .4f", "0.0041"),
        ("01_laws.noise.dof", "36"),
        ("01_laws.fall | +.3f", "−0.071"),
        ("01_laws.name", "power-2-gated"),
        ("01_laws.missing | count", "0"),
        ("01_laws.noise.sd | percent", "0.41 %"),
        ("01_laws.laws[family=window].alpha | interval .2f", "0.31 [0.20, –]"),
        ("01_laws.laws[family=power-2, size=4x64].alpha | interval .2f", "0.40 [0.31, ∞]"),
        ("01_laws.laws[1].alpha.value | .1f", "0.4"),
        ("01_laws.texts[text=bard + recall of 8 at 64, 25 %].loss | .1f", "4.5"),
        ("table: laws 01_laws", "| 01_laws |"),
    ],
)
def test_a_placeholder_is_filled(placeholder, text):
    assert filled(f"a {{{{ {placeholder} }}}} b") == f"a {text} b"


@pytest.mark.parametrize(
    ("placeholder", "told"),
    [
        ("01_laws.nois.sd | .4f", "no 'nois' there (did you mean \"noise\"?)"),
        ("02_context.noise", "no '02_context' there"),
        ("01_laws.laws[family=linear].alpha.value", "[family=linear] holds for 0 of 2, not for one"),
        ("01_laws.laws[size=4x64].alpha.value", "[size=4x64] holds for 2 of 2, not for one"),
        ("01_laws.laws[7].alpha", "[7] is no place among 2"),
        ("01_laws.noise[0]", "[0] selects from a list"),
        ("01_laws.name | .3f", "'.3f' does not write a str"),
        ("01_laws.noise", "is a dict, not a number"),
        ("01_laws.laws[0].alpha.high | .2f", "is nothing here (null)"),
        ("01_laws.noise.sd | interval .2f", "'interval .2f' does not write a float"),
        ("table: lawz", "no table 'lawz' (did you mean \"laws\"?)"),
        ("end", "stands alone"),
        ("", "no"),
    ],
)
def test_what_cannot_be_filled_is_one_clear_error(placeholder, told):
    with pytest.raises(UserError) as error:
        filled(f"a {{{{ {placeholder} }}}} b")
    assert told in str(error.value)
    assert str(error.value).startswith("article.md: {{ ")
    assert "\n" not in str(error.value)


def test_every_mistake_is_told_at_once():
    with pytest.raises(UserError, match=r"(?s)x\.y.*z\.w"):
        filled("{{ x.y }} {{ z.w }}")


def test_a_part_that_needs_a_study_is_left_out_without_it():
    template = "{{ needs: 02_context }}\n{{ 02_context.a.b }}\n{{ end }}\nafter"
    assert filled(template) == (
        "*Not trained yet: this part fills in when the records of `02_context` are committed.*\n\nafter"
    )
    there = "{{ needs: 01_laws }}\n{{ 01_laws.noise.dof }}\n{{ end }}\nafter"
    assert filled(there) == "36\nafter"
