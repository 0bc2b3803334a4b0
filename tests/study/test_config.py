"""isostate.study.config."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.study.config import LR_GRID
from isostate.study.sweep import combinations
from isostate.train import TrainConfig
from tests.study import tiny


def test_one_context_is_a_list_of_one():
    assert tiny.study().data.context == [16]
    assert tiny.study(data={"context": [16, 32]}).data.at(32).context == 32


def test_tuning_is_a_grid_and_its_absence_none():
    assert not tiny.study().train.tuned
    tuned = tiny.study(train={"lr": "tune"}).train
    assert tuned.tuned
    assert tuned.lr_grid == list(LR_GRID)
    own = tiny.study(train={"lr": "tune", "lr_grid": [1e-3, 1e-2]}).train
    assert own.at(1e-2) == TrainConfig.model_validate({**tiny.values()["train"], "lr": 1e-2})


def test_a_sweep_is_the_product_of_its_lists():
    found = combinations({"mixer": "power", "degree": [2, 4], "head_dim": [4, 8]})
    assert [(each["degree"], each["head_dim"]) for each in found] == [(2, 4), (2, 8), (4, 4), (4, 8)]
    assert {each["mixer"] for each in found} == {"power"}


def test_sizes_are_the_tables_or_the_model():
    assert [size.label for size in tiny.study().sizes] == ["1x16"]
    tables = [{"name": "small", "n_layers": 1, "d_model": 16}, {"n_layers": 2, "d_model": 32}]
    several = tiny.study(size=tables, model={"n_layers": None, "d_model": None})
    assert [size.label for size in several.sizes] == ["small", "2x32"]


WRONG = {
    "model and size": ({"size": [{"n_layers": 1, "d_model": 16}]}, "leave them out of"),
    "no layers": ({"model": {"n_layers": None}}, "missing key 'model.n_layers'"),
    "equal sizes": (
        {"model": {"n_layers": None, "d_model": None}, "size": [{"n_layers": 1, "d_model": 16}] * 2},
        "'1x16' stands there twice",
    ),
    "no mixer": ({"sweep": [{"window": 4}]}, "sweep 1: missing key 'mixer'"),
    "other mixer": ({"sweep": [{"mixer": "windw"}]}, 'did you mean "window"'),
    "other key": ({"sweep": [{"mixer": "window", "windo": 4}]}, 'did you mean "window"'),
    "empty list": ({"sweep": [{"mixer": "window", "window": []}]}, "window = []: give at least one"),
    "no sweep": ({"sweep": []}, "sweep"),
    "knob twice": ({"sweep": [{"mixer": "window", "window": 4, "state_size": 128}]}, "leave out one of them"),
    "no knob": ({"sweep": [{"mixer": "softmax", "state_size": 128}]}, "make data.context a list"),
    "true state": ({"sweep": [{"mixer": "window", "state_size": True}]}, "state_size = True: must be a whole number"),
    "empty contexts": ({"data": {"context": []}}, "data.context"),
    "context twice": ({"data": {"context": [16, 16]}}, "16 stands there twice"),
    "seed twice": ({"seeds": [1, 1]}, "1 stands there twice"),
    "negative seed": ({"seeds": [-1]}, "seeds = -1: must be at least 0"),
    "grid without tune": ({"train": {"lr_grid": [0.1]}}, 'lr_grid is for lr = "tune"'),
    "rate for each state without tune": ({"train": {"lr_for": "state"}}, 'lr_for is for lr = "tune"'),
    "empty grid": ({"train": {"lr": "tune", "lr_grid": []}}, "must be a list of learning rates"),
    "zero in the grid": ({"train": {"lr": "tune", "lr_grid": [0.1, 0]}}, "greater than 0"),
    "word for a rate": ({"train": {"lr": "tun"}}, 'did you mean "tune"'),
    "folder as a name": ({"name": "../x"}, "name"),
}


@pytest.mark.parametrize("change, words", WRONG.values(), ids=WRONG)
def test_it_refuses_with_what_is_wrong(change, words):
    with pytest.raises(UserError) as raised:
        tiny.study(**change)
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)
