"""isostate.study.tune."""

from __future__ import annotations

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


def test_the_lowest_loss_at_the_longest_context_wins(cells):
    tuning = tuning_cells(cells, GRID, 3)
    rates, notices = choose_rates(tuning, results_of(tuning, {"window": [3.0, 2.0, 2.5], "power-2": [5, 4, 6]}))
    assert rates == {"window": {4: 0.01}, "power-2": {4: 0.01}}
    assert notices == []


def test_a_rate_at_the_edge_of_the_grid_is_said_to_be(cells):
    tuning = tuning_cells(cells, GRID, 3)
    losses = {"window": [3.0, 2.0, 1.5], "power-2": [1.0, "diverged", None]}
    rates, notices = choose_rates(tuning, results_of(tuning, losses))
    assert rates == {"window": {4: 0.1}, "power-2": {4: 0.001}}
    assert ["highest" in notices[0], "lowest" in notices[1]] == [True, True]


def test_a_family_that_diverges_everywhere_is_refused(cells):
    tuning = tuning_cells(cells, GRID, 3)
    losses = {"window": ["diverged"] * 3, "power-2": [1.0, 1.0, 1.0]}
    with pytest.raises(UserError, match=r"window diverged at every rate tried .*add lower ones"):
        choose_rates(tuning, results_of(tuning, losses))


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
    settled = settle(cells, choose_rates(tuning, results_of(tuning, {"window": [3.0, 2.0, 2.5]}))[0])
    assert {(cell.size, cell.config.train.lr) for cell in settled} == {
        (name, GRID[1] * share) for name, _, share in shares
    }


def test_states_whose_ends_agree_have_one_rate_and_others_are_all_tuned(cells):
    """Power-2 likes one rate at every size of its heads; windows of 8 and more like a higher one."""

    def loss(cell):
        wide = cell.family == "window" and cell.config.model.mixer.knob_value >= 8
        return abs(GRID.index(cell.config.train.lr) - (2 if wide else 1))

    def knobs(tuning, family):
        return [cell.config.model.mixer.knob_value for cell in tuning if cell.family == family][:: len(GRID)]

    first = tuning_cells(cells, GRID, 3, "state")
    assert (knobs(first, "window"), knobs(first, "power-2")) == ([4, 16], [4, 8])
    half = {cell.run_id: result(loss(cell)) for cell in first[:-1]}
    results = {cell.run_id: result(loss(cell)) for cell in first}
    assert tuning_cells(cells, GRID, 3, "state", half)[-1].run_id == first[-1].run_id
    second = tuning_cells(cells, GRID, 3, "state", results)
    assert (knobs(second, "window"), knobs(second, "power-2")) == ([2, 4, 8, 16], [4, 8])
    assert tuning_cells(cells, GRID, 3, "family", results) == tuning_cells(cells, GRID, 3)
    rates, _ = choose_rates(second, {cell.run_id: result(loss(cell)) for cell in second})
    assert rates == {"window": {2: 0.01, 4: 0.01, 8: 0.1, 16: 0.1}, "power-2": {4: 0.01, 8: 0.01}}
    assert {(cell.family, cell.config.model.mixer.knob_value, cell.rate) for cell in settle(cells, rates)} == {
        *(("window", window, 0.01 if window < 8 else 0.1) for window in (2, 4, 8, 16)),
        *(("power-2", size, 0.01) for size in (2, 4, 8)),
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
