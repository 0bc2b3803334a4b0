"""isostate.study.calibrate."""

from __future__ import annotations

import json

import pytest

from isostate.study import calibrate
from isostate.study.calibrate import shape_of, step_flops, step_times
from isostate.study.grid import expand
from tests.study import tiny


@pytest.fixture
def cells():
    sweep = [{"mixer": "window", "window": [2, 16]}, {"mixer": "power", "head_dim": [2, 8]}]
    return expand(tiny.study(sweep=sweep, seeds=[0, 1]), "")[0]


@pytest.fixture
def measured(monkeypatch):
    """The shapes that were measured, in turn; each takes a nanosecond a FLOP."""
    found = []

    def measure(config):
        found.append(config)
        return 1e-9 * step_flops(config)

    monkeypatch.setattr(calibrate, "measure", measure)
    return found


def test_a_shape_is_measured_once_for_all_its_seeds_and_then_never(cells, measured, tmp_path):
    times = step_times(cells, tmp_path / "steps.json")
    assert len(measured) == len(times) == 4
    assert all(time.measured for time in times.values())
    assert step_times(cells, tmp_path / "steps.json") == times
    assert len(measured) == 4


def test_every_family_is_measured_before_any_twice(cells, measured, tmp_path):
    step_times(cells, tmp_path / "steps.json")
    assert {config.model.mixer.family for config in measured[:2]} == {"window", "power-2"}


def test_beyond_the_budget_time_is_estimated_from_the_family_and_said_to_be(cells, measured, tmp_path):
    shapes = {shape_of(cell.config): cell.config for cell in cells}
    budget_s = 3 * 4 * 1e-9 * min(step_flops(config) for config in shapes.values())
    times = step_times(cells, tmp_path / "steps.json", budget_s)
    assert {time.measured for time in times.values()} != {False, True} or len(measured) < 4
    for shape, config in shapes.items():
        assert times[shape].step_s == pytest.approx(1e-9 * step_flops(config))


def test_another_machine_measures_for_itself(cells, measured, tmp_path):
    cache = tmp_path / "steps.json"
    step_times(cells, cache)
    held = json.loads(cache.read_text())
    cache.write_text(json.dumps({**held, "machine": {**held["machine"], "cpu": "another"}}))
    step_times(cells, cache)
    assert len(measured) == 8


def test_a_damaged_cache_is_made_again(cells, measured, tmp_path):
    (tmp_path / "steps.json").write_text("{")
    step_times(cells, tmp_path / "steps.json")
    assert len(measured) == 4
    assert len(json.loads((tmp_path / "steps.json").read_text())["step_s"]) == 4


def test_a_real_step_takes_real_time_and_leaves_no_trace(cells):
    import torch

    torch.manual_seed(5)
    before = torch.get_rng_state()
    assert 0 < calibrate.measure(cells[0].config) < 60
    assert torch.equal(torch.get_rng_state(), before)


def test_a_shape_is_all_that_decides_a_steps_time(cells):
    shape = shape_of(cells[0].config)
    assert shape_of(cells[0].at(0.5, seed=9).config) == shape
    for change in ({"threads": 2}, {"accumulate": 2}, {"batch_tokens": 64}):
        train = cells[0].config.train.model_copy(update=change)
        assert shape_of(cells[0].config.model_copy(update={"train": train})) != shape
