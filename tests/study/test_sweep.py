"""isostate.study.sweep."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.study.grid import expand
from isostate.study.sweep import combinations, mixer_of
from tests.study import tiny

STACK = {"mixer": ["mamba2", "near"], "mamba2": {"d_state": [4, 8]}, "near": {"kind": "window", "window": [3, 5]}}


def cells_of(*sweep, **tables):
    model = {"n_layers": 2} | tables.pop("model", {})
    return expand(tiny.study(sweep=list(sweep), model=model, **tables), "tiny.toml")[0]


def test_a_stacks_keys_are_combined_and_its_layers_are_not():
    found = combinations(STACK)
    assert [one["mixer"] for one in found] == [["mamba2", "near"]] * 4
    assert [(one["mamba2.d_state"], one["near.window"]) for one in found] == [(4, 3), (4, 5), (8, 3), (8, 5)]


def test_cells_of_a_stack_are_families_by_what_is_fixed():
    cells = cells_of({**STACK, "near": {"kind": "window", "window": 3}})
    assert [cell.config.model.mixer.knob_value for cell in cells] == [4, 8]
    assert {cell.family for cell in cells} == {"mamba2+window:3"}
    by_window = cells_of({**STACK, "mamba2": {"d_state": 4}})
    assert {cell.family for cell in by_window} == {"mamba2:4+window"}


def test_a_mixer_of_a_stack_takes_what_it_knows_of_the_models_keys():
    (cell,) = cells_of({"mixer": ["mamba2", "softmax"]}, model={"positions": "alibi", "qk_norm": "rms", "n_heads": 8})
    first, second = cell.config.model.mixers
    assert (first.n_heads, second.n_heads, second.positions, second.qk_norm) == (8, 8, "alibi", "rms")


def test_a_wanted_state_is_solved_by_the_mixer_whose_knob_is_left_out():
    tables = {"mixer": ["power", "window"], "window": {"window": 4}, "state_size": [250, 700]}
    cells = cells_of(tables)
    assert [cell.config.model.mixer.knob for cell in cells] == ["power.head_dim"] * 2
    assert all(abs(cell.state / cell.wanted_state - 1) < 0.5 for cell in cells)
    (other,) = cells_of({"mixer": ["power", "window"], "power": {"head_dim": 4}, "state_size": 400})
    assert other.config.model.mixer.knob == "window.window"
    assert other.family == "power-2:4+window"


def test_a_plain_mixer_starts_its_search_at_a_possible_knob():
    setting = {"mixer": "window", "state_size": 100}
    assert mixer_of(setting, setting) == {"kind": "window", "window": 1}
    assert mixer_of({"mixer": "power", "degree": 2}, {}) == {"kind": "power", "degree": 2}


MISTAKES = [
    ({"mixer": []}, "sweep 1: mixer = []: must list a mixer a layer"),
    ({"mixer": ["mamba2", 3]}, "sweep 1: mixer = ['mamba2', 3]: must list a mixer a layer"),
    ({"mixer": ["mamba2", "near"]}, "near: mixer = 'near': no such mixer"),
    ({"mixer": ["softmax"], "sofmax": {}}, "unknown key 'sofmax' (did you mean \"softmax\"?)"),
    ({"mixer": ["softmax"], "softmax": 3}, "softmax = 3: must be a table of that mixer's keys"),
    ({"mixer": ["window"], "window": {"windw": 3}}, "window: unknown key 'windw' (did you mean \"window\"?)"),
    ({"mixer": ["window"], "window": {"window": []}}, "window: window = []: give at least one value"),
    ({"mixer": ["mamba2", "window"], "state_size": 9}, "may be solved by mamba2.d_state or by window.window; give all"),
    ({**STACK, "state_size": 9}, "state_size is solved by mamba2.d_state and near.window, which are given too"),
    ({"mixer": ["softmax"], "state_size": 9}, "no key of its own sets its state"),
    ({"mixer": "window", "state_size": []}, "state_size = []: give at least one value"),
]


@pytest.mark.parametrize("sweep, message", MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_told_in_one_line(sweep, message):
    with pytest.raises(UserError) as caught:
        cells_of(sweep)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
