from __future__ import annotations

import json
import re

from isostate.report import inline
from tests.report import studies


def test_our_script_evaluates_no_text():
    script = inline.asset("page.js")
    assert not re.search(
        r"\beval\b|new Function|innerHTML|outerHTML|insertAdjacentHTML|document\.write|https?:", script
    )


def test_plotly_keeps_its_licence():
    assert "Licensed under the MIT license" in inline.asset("plotly-cartesian.min.js")[:300]


def test_the_data_block_is_json_that_html_cannot_read_as_anything_else():
    attack = [*studies.HOSTILE.values(), "\u2028", "-->", "]]>"]
    block = inline.data_block(attack)
    assert json.loads(block) == attack
    assert block.isascii()
    assert not set("<>&") & set(block)


def test_long_lists_are_written_once_and_floats_shortly():
    column = [0.123456789] * 8
    slim = inline.pooled([{"x": column, "y": column, "short": [1.0, 2.0], "nan": float("nan")}])
    assert slim["pool"] == [[0.123457] * 8]
    assert slim["figures"][0] == {"x": {"pool": 0}, "y": {"pool": 0}, "short": [1.0, 2.0], "nan": None}


def test_long_texts_of_views_are_written_once_and_those_of_controls_stay():
    text = "what a point says<br>when a reader rests on it"
    views = {"0": {"data": [{"hovertext": [text] * 6}, {"hovertext": [[text, "short"]], "z": [[1.0] * 6]}]}}
    slim = inline.pooled([{"title": text, "views": views}])
    first, second = slim["figures"][0]["views"]["0"]["data"]
    assert slim["figures"][0]["title"] == text
    assert slim["pool"] == [{"lines": [0, 1]}, [{"pool": 0}] * 6, [1.0] * 6]
    assert slim["lines"] == text.split("<br>")
    assert first["hovertext"] == {"pool": 1}
    assert second == {"hovertext": [[{"pool": 0}, "short"]], "z": [{"pool": 2}]}


def test_a_line_that_two_texts_share_is_written_once():
    about = "two layers of width 96, trained at context 512"
    texts = [f"seed {seed}<br>{about}<br>" for seed in (0, 1)]
    slim = inline.pooled([{"views": {str(i): {"note": text} for i, text in enumerate(texts)}}])
    assert slim["lines"] == ["seed 0", about, "", "seed 1"]
    assert slim["pool"] == [{"lines": [0, 1, 2]}, {"lines": [3, 1, 2]}]


def test_the_policy_names_each_script_by_its_hash():
    known = "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="  # of "abc", FIPS 180-2
    policy = inline.policy(["abc"])
    assert f"script-src '{known}';" in policy
    assert policy.startswith("default-src 'none'")
