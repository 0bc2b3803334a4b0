"""isostate.study.tune."""

from __future__ import annotations

import math

import pytest

from isostate.config import UserError
from isostate.study.grid import expand
from isostate.study.tune import choose_rates, settle, tuning_cells
from tests.study import tiny

GRID = [0.001, 0.01, 0.1]


@pytest.fixture
def cells():
    sweep = [{"mixer": "window", "window": [2, 4, 8, 16]}, {"mixer": "power", "head_dim": [2, 4, 8]}]
    sizes = [{"n_layers": 2, "d_model": 32}, {"n_layers": 1, "d_model": 16}]
    tables = {"size": sizes, "model": {"n_layers": None, "d_model": None}, "data": {"context": [32, 16]}}
    return expand(tiny.study(sweep=sweep, seeds=[3, 4], **tables), "")[0]


def result(loss: float | None, status: str = "done"):
    status = "diverged" if loss is not None and math.isnan(loss) else status
    final = {"16": {"loss_nats": 9.0}, "128": {"loss_nats": loss}} if status == "done" else {}
    return {"status": status, "final": final}


def results_of(tuning, losses):
    """`losses`: for each family a loss a rate."""
    found = {cell.run_id: losses[cell.family][GRID.index(cell.config.train.lr)] for cell in tuning}
    return {run_id: result(loss) if loss != "diverged" else result(None, loss) for run_id, loss in found.items()}


def test_a_family_is_tuned_on_its_smallest_model_and_middle_state(cells):
    tuning = tuning_cells(cells, GRID, seed=3)
    assert [cell.config.train.lr for cell in tuning] == GRID * 2
    assert {(cell.size, cell.config.data.context, cell.config.seed, cell.role) for cell in tuning} == {
        ("1x16", 16, 3, "tune")
    }
    knobs = [cell.config.model.mixer.knob_value for cell in tuning]
    assert knobs == [4, 4, 4, 4, 4, 4]  # window 2 4 8 16: the lower middle; head_dim 2 4 8: the middle


def test_it_is_tuned_at_the_middle_of_its_contexts():
    contexts = tiny.study(sweep=[{"mixer": "window", "window": [2]}], data={"context": [8, 32, 16, 4]})
    assert {cell.config.data.context for cell in tuning_cells(expand(contexts, "")[0], GRID, 0)} == {8}


def test_the_lowest_loss_at_the_longest_context_wins(cells):
    tuning = tuning_cells(cells, GRID, 3)
    rates, notices = choose_rates(tuning, results_of(tuning, {"window": [3.0, 2.0, 2.5], "power-2": [5, 4, 6]}), GRID)
    assert rates == {"window": {4: 0.01}, "power-2": {4: 0.01}}
    assert notices == []


def test_a_rate_at_the_edge_of_the_grid_is_said_to_be(cells):
    tuning = tuning_cells(cells, GRID, 3)
    losses = {"window": [3.0, 2.0, 1.5], "power-2": [1.0, "diverged", None]}
    rates, notices = choose_rates(tuning, results_of(tuning, losses), GRID)
    assert rates == {"window": {4: 0.1}, "power-2": {4: 0.001}}
    assert ["highest" in notices[0], "lowest" in notices[1]] == [True, True]


def test_a_family_that_diverges_everywhere_is_refused(cells):
    tuning = tuning_cells(cells, GRID, 3)
    losses = {"window": ["diverged"] * 3, "power-2": [1.0, 1.0, 1.0]}
    with pytest.raises(UserError, match=r"window diverged at every rate tried .*add lower ones"):
        choose_rates(tuning, results_of(tuning, losses), GRID)


def test_the_chosen_rate_holds_at_every_size_state_and_seed(cells):
    settled = settle(cells, {"window": {4: 0.1}, "power-2": {4: 0.01}})
    assert len(settled) == len(cells)
    assert {(cell.family, cell.config.train.lr) for cell in settled} == {("window", 0.1), ("power-2", 0.01)}


def test_a_size_takes_its_share_of_the_rate_tuned_on_the_smallest_of_share_one():
    shares = [("xs", 8, 2.0), ("s", 16, 1.0), ("m", 32, 1.0), ("l", 48, 0.3)]
    sizes = [{"name": name, "n_layers": 1, "d_model": width, "lr_share": share} for name, width, share in shares]
    model = {"n_layers": None, "d_model": None}
    study = tiny.study(model=model, size=sizes, sweep=[{"mixer": "window", "window": [2, 4, 8]}])
    cells = expand(study, "")[0]
    assert {(cell.size, cell.rate) for cell in cells} == {(name, study.train.lr) for name, *_ in shares}
    tuning = tuning_cells(cells, GRID, seed=3)
    assert [(cell.size, cell.config.train.lr) for cell in tuning] == [("s", rate) for rate in GRID]
    settled = settle(cells, choose_rates(tuning, results_of(tuning, {"window": [3.0, 2.0, 2.5]}), GRID)[0])
    assert {(cell.size, cell.config.train.lr) for cell in settled} == {
        (name, GRID[1] * share) for name, _, share in shares
    }


WIDE = [0.001, 0.002, 0.004, 0.008, 0.016, 0.032]


def settled_with(cells, loss, lr_for="family"):
    """What is tried when every asked run has its result, stage by stage: the last tuning cells and the rates."""
    results = {}
    while True:
        tuning = tuning_cells(cells, WIDE, 3, lr_for, results)
        fresh = [cell for cell in tuning if cell.run_id not in results]
        if not fresh:
            tried = {}
            for cell in tuning:
                tried.setdefault((cell.family, cell.config.model.mixer.knob_value), []).append(cell.rate)
            return tried, *choose_rates(tuning, results, WIDE)
        results |= {cell.run_id: result(loss(cell)) for cell in fresh}


def distance_from(wanted):
    """A loss that is least at `wanted(cell)`, by the places of rates in the grid."""
    return lambda cell: abs(WIDE.index(cell.rate) - WIDE.index(wanted(cell)))


def test_rates_are_tried_from_the_middle_of_the_grid_until_the_best_has_both_neighbours(cells):
    wanted = {"window": 0.004, "power-2": 0.016}
    tried, rates, notices = settled_with(cells, distance_from(lambda cell: wanted[cell.family]))
    assert tried == {("window", 4): WIDE[1:4], ("power-2", 4): WIDE[1:6]}
    assert (rates, notices) == ({"window": {4: 0.004}, "power-2": {4: 0.016}}, [])
    tried, rates, notices = settled_with(cells, distance_from(lambda cell: 0.001))
    assert (tried["window", 4], rates["window"]) == (WIDE[:4], {4: 0.001})
    assert ["lowest rate of lr_grid" in notice for notice in notices] == [True, True]


def test_a_family_that_diverges_at_high_rates_climbs_down(cells):
    tried, rates, _ = settled_with(cells, lambda cell: math.nan if cell.rate > 0.001 else 3.0)
    assert (tried["window", 4], rates["window"]) == (WIDE[:4], {4: 0.001})


def test_states_between_two_that_disagree_try_the_rates_between_theirs(cells):
    """Power-2 likes one rate at every size of its heads; windows of 8 and more like higher ones."""
    wanted = {8: 0.008, 16: 0.016}

    def best(cell):
        return wanted.get(cell.config.model.mixer.knob_value, 0.004) if cell.family == "window" else 0.004

    tried, rates, notices = settled_with(cells, distance_from(best), "state")
    assert tried == {
        ("window", 4): WIDE[1:4], ("window", 16): WIDE[1:6], ("window", 8): WIDE[2:5],
        ("power-2", 4): WIDE[1:4], ("power-2", 8): WIDE[1:4],
    }  # fmt: skip
    assert rates == {"window": {4: 0.004, 16: 0.016, 8: 0.008}, "power-2": {4: 0.004, 8: 0.004}}
    assert notices == []
    assert {(cell.family, cell.config.model.mixer.knob_value, cell.rate) for cell in settle(cells, rates)} == {
        *(("window", window, wanted.get(window, 0.004)) for window in (2, 4, 8, 16)),
        *(("power-2", size, 0.004) for size in (2, 4, 8)),
    }


def test_the_winner_is_a_cell_of_the_study_and_not_trained_again(cells):
    tuning = tuning_cells(cells, GRID, 3)
    settled = settle(cells, {"window": {4: 0.1}, "power-2": {4: 0.01}})
    assert len({cell.run_id for cell in tuning} & {cell.run_id for cell in settled}) == 2


def test_a_family_is_tuned_on_the_first_text_alone():
    texts = [{"dilution": 1}, {}]
    cells = expand(tiny.study(text=texts, sweep=[{"mixer": "window", "window": [2, 4, 8]}]), "")[0]
    assert len(cells) == 6
    assert {cell.config.data.dilution for cell in tuning_cells(cells, GRID, seed=0)} == {1}
