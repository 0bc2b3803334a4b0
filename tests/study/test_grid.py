"""isostate.study.grid."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.study.grid import expand
from tests.study import tiny


def cells_of(**tables):
    return expand(tiny.study(**tables), "tiny.toml")


def test_the_grid_is_sizes_by_contexts_by_settings_by_seeds():
    sizes = [{"n_layers": 1, "d_model": 16}, {"n_layers": 2, "d_model": 32}]
    cells, notices = cells_of(
        size=sizes,
        model={"n_layers": None, "d_model": None},
        data={"context": [16, 32]},
        seeds=[0, 1, 2],
        sweep=[{"mixer": "window", "window": [4, 8]}],
    )
    assert notices == []
    found = {(c.size, c.config.data.context, c.config.model.mixer.window, c.config.seed) for c in cells}
    assert len(cells) == len(found) == 2 * 2 * 2 * 3
    assert len({cell.run_id for cell in cells}) == len(cells)


def test_a_wanted_state_is_solved_and_its_error_known():
    cells, _ = cells_of(sweep=[{"mixer": "window", "state_size": [128, 250]}])
    assert [cell.config.model.mixer.window for cell in cells] == [4, 8]
    assert [(cell.wanted_state, cell.state) for cell in cells] == [(128, 128), (250, 256)]


@pytest.mark.parametrize("kind, wanted", [("linear", 300), ("power", 250), ("taylor", 300)])
def test_heads_of_the_model_do_not_bind_the_search_for_a_state(kind, wanted):
    (cell,), _ = cells_of(sweep=[{"mixer": kind, "state_size": wanted}])
    assert abs(cell.state / wanted - 1) < 0.5
    assert cell.config.model.mixer.n_heads * cell.config.model.mixer.head_dim == 16


def test_a_sweep_overrules_the_model_for_its_mixer():
    sweep = [{"mixer": "power", "positions": ["none", "alibi"], "head_dim": 4}, {"mixer": "window", "window": 4}]
    cells, _ = cells_of(sweep=sweep, model={"qk_norm": "rms"})
    assert [cell.config.model.mixer.positions for cell in cells] == ["none", "alibi", "alibi"]
    assert {cell.config.model.mixer.qk_norm for cell in cells} == {"rms"}
    assert [cell.config.model.mixer.n_heads for cell in cells] == [4, 4, 2]


def test_parameters_are_matched_to_the_softmax_model_within_half_a_percent():
    sweep = [{"mixer": "softmax"}, {"mixer": "linear", "gate": "head", "head_dim": [8, 64]}]
    cells, _ = cells_of(sweep=sweep, model={"match_params": True, "d_model": 64, "d_ff": 200, "n_heads": 4})
    counts = [cell.config.model.param_count().non_embedding for cell in cells]
    assert cells[0].config.model.d_ff == 200
    assert all(abs(count / counts[0] - 1) <= 0.005 for count in counts)
    unmatched, _ = cells_of(sweep=sweep, model={"d_model": 64, "d_ff": 200, "n_heads": 4})
    assert {cell.config.model.d_ff for cell in unmatched} == {200}
    assert len({cell.config.model.param_count().total for cell in unmatched}) > 1


def test_settings_that_are_one_run_are_merged_and_said_to_be():
    cells, notices = cells_of(sweep=[{"mixer": "window", "state_size": [250, 256]}, {"mixer": "window", "window": 8}])
    assert len(cells) == 1
    assert len(notices) == 2
    assert "sweep 2: window = 8 is window of 256 elements once more" in notices[1]


def test_a_state_out_of_reach_at_one_context_is_left_out_there_and_said_to_be():
    cells, notices = cells_of(data={"context": [4, 16]}, sweep=[{"mixer": "window", "state_size": [128, 512]}])
    assert [(cell.config.data.context, cell.state) for cell in cells] == [(4, 128), (16, 128), (16, 512)]
    assert len(notices) == 1
    assert notices[0].startswith("left out at size 1x16, context 4: ")


def test_a_state_out_of_reach_everywhere_is_refused_naming_the_sweep():
    with pytest.raises(UserError, match=r'^tiny.toml: sweep 1 \("window"\): state_size = 99,999 is out of reach'):
        cells_of(sweep=[{"mixer": "window", "state_size": 99_999}])


def test_a_run_id_covers_the_data():
    ids = [{cell.run_id for cell in expand(tiny.study(), "", {"bard": mark * 64})[0]} for mark in "ab"]
    assert not ids[0] & ids[1]


def test_another_rate_is_another_run_of_the_same_model():
    (cell, *_), _ = cells_of()
    other = cell.at(0.5, seed=7, role="tune")
    assert other.config.model == cell.config.model
    assert (other.config.train.lr, other.config.seed, other.role) == (0.5, 7, "tune")
    assert other.run_id != cell.run_id
    assert cell.at(cell.config.train.lr).run_id == cell.run_id


RECALL = {"pairs": 2, "distance": 4, "share": 0.2, "keys": 4, "values": 3}


def test_texts_are_coordinates_each_with_its_tokens_and_contexts():
    texts = [{}, {"recall": RECALL}, {"dilution": 1, "context": [32]}]
    study = tiny.study(text=texts, sweep=[{"mixer": "window", "window": 4}])
    prints = {"bard": "a" * 64, "bard, 1 fillers": "b" * 64}
    cells, _ = expand(study, "tiny.toml", prints)
    found = [(c.config.data.text, c.config.data.context, c.config.model.vocab_size) for c in cells]
    assert found == [("bard", 16, 256), ("bard + recall of 2 at 4, 20 %", 16, 263), ("bard, 1 fillers", 32, 257)]
    assert [cell.config.data.fingerprint[:1] for cell in cells] == ["a", "", "b"]
    assert len({cell.run_id for cell in cells}) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ([{}, {"context": [32]}], "'bard' stands there twice"),
        ([{"corpus": "bard", "recal": {}}], "unknown key 'text.0.recal' \\(did you mean \"recall\""),
        ([{"recall": {"pairs": 99}}], "pairs = 99"),
    ],
)
def test_texts_that_cannot_be_are_refused(text, words):
    with pytest.raises(UserError, match=words):
        tiny.study(text=text)


def test_a_sweep_may_run_at_some_sizes_contexts_and_seeds_only():
    sizes = [{"name": "a", "n_layers": 1, "d_model": 16}, {"name": "b", "n_layers": 2, "d_model": 32}]
    cells, _ = cells_of(
        size=sizes,
        model={"n_layers": None, "d_model": None},
        data={"context": [16, 32]},
        seeds=[0, 1],
        sweep=[
            {"mixer": "window", "window": 4, "only": {"size": ["b"], "seeds": [1]}},
            {"mixer": "power", "head_dim": 4, "only": {"context": [16]}},
        ],
    )
    found = [(c.family, c.size, c.config.data.context, c.config.seed) for c in cells]
    assert [place for place in found if place[0] == "window"] == [("window", "b", 16, 1), ("window", "b", 32, 1)]
    assert [place for place in found if place[0] != "window"] == [
        ("power-2", size, 16, seed) for size in "ab" for seed in (0, 1)
    ]


@pytest.mark.parametrize(
    ("only", "words"),
    [
        ({"size": ["large"]}, r"sweep 1: only.size = 'large': none of the study's, \['1x16'\]"),
        ({"seeds": [4]}, "only.seeds = 4"),
        ({"context": [17]}, r"only.context = 17: none of the study's, \[16\]"),
        ({"sizes": ["1x16"]}, 'did you mean "size"'),
        (["1x16"], "must be a table"),
        ({"seeds": []}, "seeds"),
    ],
)
def test_what_a_sweep_cannot_be_limited_to_is_refused(only, words):
    with pytest.raises(UserError, match=words):
        tiny.study(sweep=[{"mixer": "window", "window": 4, "only": only}])
