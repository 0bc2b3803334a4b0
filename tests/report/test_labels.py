from __future__ import annotations

import pytest

from isostate.report import labels


@pytest.mark.parametrize(
    "count, text",
    [
        (1, "1"),
        (999, "999"),
        (2_048, "2.05K"),
        (122_880, "123K"),
        (131_072, "131K"),
        (999_900, "1M"),
        (1_050_624, "1.05M"),
    ],
)
def test_elements_and_parameters_are_counted_in_thousands(count, text):
    assert labels.decimal(count) == text


@pytest.mark.parametrize(
    "seconds, text",
    [(None, "–"), (0.031, "0.031 s"), (9.0, "9 s"), (41.4, "41 s"), (59.7, "1 min"), (252, "4 min 12 s"),
     (3_600, "1 h"), (9_000, "2 h 30 min"), (7_199, "2 h")],
)  # fmt: skip
def test_durations_read_as_people_say_them(seconds, text):
    assert labels.duration(seconds) == text


@pytest.mark.parametrize(
    "value, text",
    [(None, "–"), (float("nan"), "–"), (0.0, "0"), (0.4172, "0.4172"), (2.31456, "2.315"), (1234.5, "1234"),
     (8.05e11, "8.050e11"), (2.5e-7, "2.500e-7")],
)  # fmt: skip
def test_numbers_keep_four_digits(value, text):
    assert labels.number(value) == text


def test_errors_are_percentages_with_a_real_minus():
    assert [labels.percent(share) for share in (None, 0.0123, -0.00067, 0.4)] == ["–", "1.2 %", "−0.067 %", "40 %"]


def test_control_and_bidirectional_characters_become_visible():
    assert labels.plain("a\u202eb\u2066\x00\n") == "a\\u202eb\\u2066\\u0000\\u000a"
    assert labels.plain("Ünïcode 模型 é") == "Ünïcode 模型 é"


def test_plotly_text_holds_no_tag_and_no_entity():
    assert labels.plotly_text('<a href="x">&lt;b') == '&lt;a href="x"&gt;&amp;lt;b'
    assert labels.plotly_text("$x^2$%{x}") == "&#36;x^2&#36;&#37;{x}"


@pytest.mark.parametrize("words, text", [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_listings_read_as_english(words, text):
    assert labels.listing(words) == text


@pytest.mark.parametrize(
    "value, text",
    [(0, "0"), (0.02, "0.02"), (5e-4, "5·10⁻⁴"), (12.5, "12.5"), (999.7, "1K"), (1_500, "1.5K"), (2e10, "20B"),
     (1.5e12, "1.5T"), (1e15, "10¹⁵"), (3e21, "3·10²¹"), (9.96e20, "10²¹")],
)  # fmt: skip
def test_ticks_are_written_as_the_field_writes_sizes(value, text):
    assert labels.tick(value) == text


@pytest.mark.parametrize(
    "text, written",
    [("alpha", "α"), ("alpha_B", "α_B"), ("L_inf", "L∞"), ("beta + alphabet", "β + alphabet"),
     ("eta\u202e", "η\\u202e"), ("R_D", "R_D"), ("state_exponent", "state_exponent")],
)  # fmt: skip
def test_symbols_of_laws_are_written_by_hand(text, written):
    assert labels.symbols(text) == written
