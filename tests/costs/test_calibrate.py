"""Calibration: curves between sizes and beyond them, how kernels add up, and a real one on this machine."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from isostate.config import UserError
from isostate.costs import calibrate as calibrate_file
from isostate.costs.calibrate import Calibration, Curve, calibrate, seconds_of, undisturbed
from isostate.costs.decode_kernels import decode_parts
from isostate.costs.kernels import Kernel, Part, calls
from isostate.costs.measured_kernels import MEASURED, Measured
from isostate.costs.operators import training_parts
from isostate.costs.real_steps import RealSteps, Steps
from isostate.model import Decoder
from tests.costs.dispatched import model_of, tokens
from tests.mixers.cases import CASES


def curve_of(kind, axes, seconds_at) -> Curve:
    shape = [len(axis) for axis in axes]
    return Curve(kind, axes, np.array([seconds_at(*s) for s in _sizes(axes)]).reshape(shape))


def _sizes(axes):
    return [()] if not axes else [(first, *rest) for first in axes[0] for rest in _sizes(axes[1:])]


def test_a_power_law_is_interpolated_exactly():
    curve = curve_of("matmul", ((1, 8, 64), (4, 32), (4, 32)), lambda m, k, n: 1e-9 * m * k * n)
    for shape in ((1, 4, 4), (8, 32, 4), (3, 7, 19), (64, 32, 32)):
        assert curve.at(shape) == pytest.approx(1e-9 * math.prod(shape))


def test_beyond_the_grid_time_grows_as_work_and_below_it_stays():
    curve = curve_of("map", ((16, 1024),), lambda n: 1e-6 + 1e-9 * n)
    assert curve.at((4096,)) == pytest.approx(4 * curve.at((1024,)))
    assert curve.at((2,)) == pytest.approx(curve.at((16,))) == pytest.approx(curve.smallest)
    attention = curve_of("attention", ((16, 64), (8,) * 1 + (32,)), lambda t, k: 1e-9 * t * t * k)
    assert attention.at((256, 32)) == pytest.approx(16 * attention.at((64, 32)))  # positions count twice


def calibration_of(call_s: float = 1e-6, missed=(0.0,) * 8) -> Calibration:
    near = {"map": curve_of("map", ((16, 2**20),), lambda n: 1e-9 * n)}
    far = {"map": curve_of("map", ((16, 2**20),), lambda n: 3e-9 * n)}
    for curves, rate in ((near, 1e-9), (far, 2e-9)):
        axes = ((1, 64), (1, 64), (1, 64))
        curves["batched matmul"] = curve_of("batched matmul", axes, lambda m, k, n, r=rate: r * m * k * n)
    return Calibration(near, far, call_s, 2 * call_s, missed)


def test_a_kind_that_was_not_measured_is_refused_in_a_line():
    with pytest.raises(UserError, match="no time for 'attention': attention ran by torch kernels when this was"):
        calibration_of().kernel_s(Kernel("attention", (512, 300)), missed=0.0)


def test_a_step_is_its_calls_and_its_work():
    calibration = calibration_of()
    map_ = Kernel("map", (1000,), times=3)
    product = Kernel("batched matmul", (4, 4, 4), times=2, units=10)
    parts = [Part("a", (map_, *calls(5)), times=2), Part("b", (product,))]
    seconds = calibration.seconds_of(parts, 1e-6, working_set=1.0)
    assert seconds["a"] == pytest.approx(2 * (8 * 1e-6 + 3 * (1000 - 16) * 1e-9))  # overhead is counted apart
    assert seconds["b"] == pytest.approx(2 * 1e-6 + 20 * 64e-9)


def test_large_working_sets_come_from_memory():
    shares = (0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0)
    calibration = calibration_of(missed=shares)
    megabyte = 2**20
    assert [calibration.missed_share(n * megabyte) for n in (1, 8, 16, 32, 500)] == [0, 0, 0.5, 1, 1]
    assert 0.25 < calibration.missed_share(14 * megabyte) < 0.5
    kernel = Kernel("map", (1000,))
    near, far = (calibration.kernel_s(kernel, missed) for missed in (0.0, 1.0))
    assert near == pytest.approx(984e-9)
    assert far == pytest.approx(3000e-9 - 16e-9)
    assert calibration.kernel_s(kernel, 0.5) == pytest.approx((near + far) / 2)


def test_several_calibrations_give_the_first_quartile_of_each_number():
    several = undisturbed([calibration_of(call) for call in (5e-6, 1e-6, 9e-6, 2e-6, 3e-6)])
    assert (several.train_call_s, several.decode_call_s) == (2e-6, 4e-6)
    assert several.cached["map"].at((64,)) == pytest.approx(64e-9)
    slow = [dataclasses.replace(calibration_of(), train_in_turn=x, decode_in_turn=2 * x) for x in (1.1, 3.0, 1.2)]
    assert (undisturbed(slow).train_in_turn, undisturbed(slow).decode_in_turn) == (1.2, 2.4)


class Taken(Steps):
    """A step that took as long as it says."""

    def __init__(self, seconds: float, config=None) -> None:
        super().__init__(config or model_of(CASES[0]), 1, 8, lambda: None, taken=[seconds])


def test_kernels_in_turn_take_as_much_longer_as_measured_steps_do(monkeypatch):
    monkeypatch.setattr(Calibration, "training_s", lambda self, *sizes: {"all": 2.0, "optimizer": 50.0})
    monkeypatch.setattr(Calibration, "decode_s", lambda self, *sizes: {"all": 4.0})
    steps = RealSteps(([], []), ([Taken(3.0)], [Taken(5.0)]))
    assert calibrate_file._in_turn(calibration_of(), steps) == pytest.approx((1.5, 1.25))


def test_a_calls_overhead_is_what_more_layers_take_but_for_the_ways_to_our_kernels():
    config = model_of(CASES[0], n_layers=1)
    pair = Taken(1.0, config), Taken(3.0, config.model_copy(update={"n_layers": 5}))
    steps = RealSteps(([pair], [pair]), ([], []))
    calibration = dataclasses.replace(calibration_of(), kernels="own")
    for kind, way_s in (("own call", 0.1), ("own call backward", 0.2)):
        calibration.cached[kind] = calibration.from_memory[kind] = Curve(kind, (), np.array(way_s))
    few, many = (sum(p.n_calls for p in training_parts(one.config, 1, 8, kernels="own")) for one in pair)
    train_s, decode_s = calibrate_file._overheads(calibration, steps)
    assert train_s == pytest.approx((2.0 - 4 * (0.1 + 0.2)) / (many - few))
    few, many = (sum(p.n_calls for p in decode_parts(one.config, 1, 8)) for one in pair)
    assert decode_s == pytest.approx(2.0 / (many - few))


def test_the_factor_reaches_every_part(monkeypatch):
    plain = calibration_of()
    monkeypatch.setattr(Calibration, "seconds_of", lambda self, *asked: {"a": 1.0, "b": 2.0})
    turned = dataclasses.replace(plain, train_in_turn=1.5, decode_in_turn=1.25)
    config = model_of(CASES[0])
    assert turned.training_s(config, 1, 8) == {"a": 1.5, "b": 3.0}
    assert turned.decode_s(config, 1, 8) == {"a": 1.25, "b": 2.5}


def test_what_is_too_large_runs_at_the_rate_of_the_nearest(monkeypatch):
    monkeypatch.setitem(MEASURED, "matmul", Measured(((1, 512), (512, 2048), (512, 2048)), lambda pool, *s: (s, 1)))
    monkeypatch.setattr(calibrate_file, "seconds_of", lambda shape: 1e-12 * math.prod(shape))
    monkeypatch.setattr(calibrate_file, "LARGEST_FLOPS", 2 * 512**3)
    curve = calibrate_file._curve("matmul", 1)
    assert curve.at((512, 2048, 2048)) == pytest.approx(1e-12 * 512 * 2048 * 2048)


def test_seconds_of_a_run_are_those_of_its_rounds(monkeypatch):
    now = iter(np.arange(0, 1000, 0.5))
    monkeypatch.setattr(calibrate_file, "own_clock", lambda: float(next(now)))
    assert seconds_of(lambda: None) == 0.5


@pytest.mark.slow
def test_a_real_calibration_predicts_a_real_update_within_a_factor_of_two():
    # Tighter bounds need a quiet machine: benchmarks/predict_time.py.
    calibration = calibrate()
    config = model_of(CASES[0], n_layers=4, d_ff=256)
    batch, context = 8, 128
    model, tokens_BT = Decoder(config), tokens(batch, context)
    real = seconds_of(lambda: model.train_loss(tokens_BT, tokens_BT).backward())
    predicted = sum(calibration.training_s(config, batch, context).values())
    assert 0.5 < predicted / real < 2
    token = sum(calibration.decode_s(config, 1, 64).values())
    assert 1e-5 < token < predicted
    assert 0.7 < calibration.train_in_turn < 2
    assert 0.7 < calibration.decode_in_turn < 2
    assert calibration.took_s < 120
