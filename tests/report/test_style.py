from __future__ import annotations

import itertools
import math

import pytest

from isostate.report import style

PAPERS = ("#ffffff", "#14171a")  # --paper of page.css, light and dark


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    shares = [channel / 255 for channel in style._channels(colour)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


# Dichromatic vision in linear RGB: Machado, Oliveira and Fernandes 2009, severity 1.
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881))
PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
NORMAL = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


def lab(colour: str, vision: tuple) -> tuple[float, float, float]:
    """CIELAB (D65) of a colour as this vision sees it."""
    channels = [c / 255 for c in style._channels(colour)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    seen = [min(max(sum(w * c for w, c in zip(row, linear, strict=True)), 0.0), 1.0) for row in vision]
    to_xyz = ((0.4339, 0.3762, 0.1899), (0.2126, 0.7152, 0.0722), (0.0177, 0.1095, 0.8728))  # white is 1, 1, 1
    xyz = [sum(w * c for w, c in zip(row, seen, strict=True)) for row in to_xyz]
    x, y, z = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("colour", [*style.COLOURS, *style.RAMP, style.NEUTRAL])
def test_every_colour_stands_out_from_both_backgrounds(colour):
    for paper in PAPERS:
        light, dark = sorted((luminance(colour), luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 3.0, paper


@pytest.mark.parametrize("vision", [NORMAL, DEUTERANOPIA, PROTANOPIA], ids=["normal", "deuteranopia", "protanopia"])
@pytest.mark.parametrize("count, apart", [(5, 24.0), (8, 15.0)])  # 10 is told apart at a glance
def test_families_are_told_apart_by_colour_alone(vision, count, apart):
    seen = [lab(colour, vision) for colour in style.COLOURS[:count]]
    assert min(math.dist(a, b) for a, b in itertools.combinations(seen, 2)) > apart


def test_no_two_of_sixteen_families_look_alike():
    names = [f"family-{i:02d}" for i in range(16)]
    looks = {tuple(style.of_family(name, names).values()) for name in names}
    assert len(looks) == 16
    points = {(style.of_family(name, names)["color"], style.of_family(name, names)["symbol"]) for name in names}
    assert len(points) == 16  # without their lines too


def test_with_a_gate_and_without_a_family_has_one_colour_and_two_markers():
    names = ["window", "power-2-gated", "power-4", "power-2", "power-4-gated"]
    looks = [style.of_family(name, names) for name in names]
    assert [look["color"] for look in looks] == [style.COLOURS[i] for i in (0, 1, 2, 1, 2)]
    assert [look["dash"] for look in looks] == [style.DASHES[i] for i in (0, 1, 2, 4, 5)]
    assert len({look["symbol"] for look in looks}) == 5
    assert [style.by_colour(name, names)["dash"] for name in names] == ["solid", "solid", "solid", "dash", "dash"]


def test_no_two_of_sixteen_families_with_and_without_a_gate_look_alike():
    names = [f"family-{i:02d}{gate}" for gate in ("", "-gated") for i in range(16)]
    looks = [style.of_family(name, names) for name in names]
    assert len({(look["color"], look["symbol"]) for look in looks}) == 32


def test_a_familys_look_follows_its_place_not_the_view():
    assert style.of_family("b", ["a", "b", "c"])["color"] == style.COLOURS[1]


def test_states_run_through_the_ramp_from_end_to_end():
    assert [style.of_rank(rank, 3)["color"] for rank in (0, 2)] == [style.RAMP[0], style.RAMP[-1]]
    assert style.of_rank(0, 1)["color"] == style.RAMP[0]


def test_ticks_of_an_axis_of_tokens_are_powers_of_two_written_out():
    axis = style.log_axis("context", 2_048, 65_536)
    assert axis["ticktext"] == ["2,048", "4,096", "8,192", "16,384", "32,768", "65,536"]
    assert len(style.log_axis("context", 16, 2**30)["ticktext"]) <= 8


@pytest.mark.parametrize(
    "low, high, texts",
    [(4.4e7, 1.6e10, ["100M", "1B", "10B"]), (1.5e19, 1e22, ["10²⁰", "10²¹", "10²²"]),
     (0.1, 0.9, ["0.1", "0.2", "0.5"]), (3, 12, ["3", "4", "5", "7", "10"]),
     (2.1, 2.9, ["2.1", "2.3", "2.5", "2.7", "2.9"]), (2.4, 2.6, ["2.4", "2.5", "2.6"])],
)  # fmt: skip
def test_ticks_of_a_decimal_axis_are_round_and_a_few(low, high, texts):
    assert style.decimal_axis("tokens", low, high)["ticktext"] == texts


def test_an_axis_of_one_value_has_it_as_its_tick():
    axis = style.decimal_axis("state", 8_190, 8_190)
    assert (axis["tickvals"], axis["ticktext"]) == ([8_190], ["8.19K"])


def test_a_decimal_axis_over_many_decades_leaves_some_out():
    assert style.decimal_axis("FLOPs", 1e5, 1e22)["ticktext"] == ["100K", "100M", "100B", "100T", "10¹⁷", "10²⁰"]


@pytest.mark.parametrize(
    "low, high, values",
    [(2.01, 3.9, [2.25, 2.5, 2.75, 3.0, 3.25, 3.5, 3.75]), (0.13, 0.52, [0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5]),
     (3.0, 900.0, [5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]), (-1.0, 1.2, [-0.5, 0.0, 0.5, 1.0])],
)  # fmt: skip
def test_round_values_lie_strictly_between(low, high, values):
    assert style.round_values(low, high, 8) == values
