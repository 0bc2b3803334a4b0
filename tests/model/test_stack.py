"""Mixers by layer: each has its place, sizes are those built, one knob sets the state, mistakes are told."""

from __future__ import annotations

import pytest
import torch

from isostate.config import UserError
from isostate.mixers import FORMS
from isostate.model import Decoder, ModelConfig, decayed_parameters, knob_of, match_params, match_state
from tests.model.options import OPTIONS, STACKS, B, T, config_of, tokens
from tests.tolerances import assert_agrees

N_LAYERS = {"two": 4, "four": 4}
every_stack = pytest.mark.parametrize("name", STACKS)


def model_of(mixer, n_layers: int = 4, **changes) -> ModelConfig:
    return ModelConfig.parse({"vocab_size": 29, "n_layers": n_layers, "d_model": 16, "mixer": mixer} | changes, "m")


def test_names_stand_for_layers_from_the_bottom_up_over_and_over():
    config = model_of(["softmax", "softmax", "linear"], n_layers=6)
    assert [mixer.kind for mixer in config.mixers] == ["softmax", "softmax", "linear"] * 2
    assert [(mixer.kind, times) for mixer, times in config.mixer_groups] == [("softmax", 4), ("linear", 2)]
    built = [type(block.mixer).__name__ for block in Decoder(config).blocks]
    assert built == ["SoftmaxMixer", "SoftmaxMixer", "LinearMixer"] * 2


def test_what_the_model_shares_reaches_every_mixer():
    config = model_of(STACKS["four"], bias="all")
    assert {(mixer.d_model, mixer.bias) for mixer in config.mixers} == {(16, "all")}


@every_stack
def test_a_config_survives_its_own_json(name):
    config = config_of(STACKS[name], n_layers=4)
    again = ModelConfig.model_validate_json(config.canonical_json())
    assert again == config
    assert again.digest() == config.digest()


@pytest.mark.parametrize("changes", ["defaults", "everything", "everything, parallel"])
@every_stack
def test_forms_agree_segments_carry_on_and_the_state_is_the_predicted_one(name, changes):
    model = Decoder(config_of(STACKS[name], n_layers=4, **OPTIONS[changes])).double().eval()
    want, end = model.token_losses(tokens(), tokens(seed=1), form="recurrent")
    for form in FORMS:
        assert_agrees(model.token_losses(tokens(), tokens(seed=1), form=form)[0], want, form)
    state, got = None, []
    for tokens_BT, targets_BT in zip(tokens().split([2, 3, 40], 1), tokens(seed=1).split([2, 3, 40], 1), strict=True):
        piece, state = model.token_losses(tokens_BT, targets_BT, state)
        got.append(piece)
    assert_agrees(torch.cat(got, 1), want, "in pieces")
    assert state.position == T
    assert state.numel == end.numel == B * model.config.state_size(T).elements


@every_stack
def test_parameters_are_those_built_and_only_matrices_decay(name):
    config = config_of(STACKS[name], n_layers=4)
    model = Decoder(config)
    assert config.param_count().total == sum(parameter.numel() for parameter in model.parameters())
    decay, _ = decayed_parameters(model)
    assert {parameter.ndim for parameter in decay.values()} == {2}
    assert len(decay) == 4 * 4


def test_the_free_mixers_knob_is_the_stacks_and_the_others_are_in_its_name():
    config = model_of(STACKS["four"]).mixer
    assert (config.family, config.knob, config.knob_value) == (
        "mamba2-2g+window:7+mamba2-2g+taylor-2-gated:4",
        "mamba2.d_state",
        5,
    )
    other = model_of({**STACKS["four"], "free": "near"}).mixer
    assert (other.family, other.knob) == ("mamba2-2g:5+window+mamba2-2g:5+taylor-2-gated:4", "near.window")
    assert knob_of(other) == {"near.window": 7}
    assert model_of(["mamba2", "mamba2", "softmax"], n_layers=3).mixer.family == "2*mamba2+softmax"
    attention = model_of(["softmax"]).mixer
    assert (attention.family, attention.knob, knob_of(attention)) == ("softmax", None, {})


def test_a_wanted_state_is_solved_by_the_free_knob_alone():
    model = model_of(STACKS["four"])
    wanted = model.model_copy(update={"mixer": model.mixer.with_knob(40)}).state_size(64).elements
    match = match_state(model, wanted, 64)
    assert (match.state_size, match.error) == (wanted, 0.0)
    assert match.model.mixer.knob_value == 40
    assert match.model.mixer.mixers["near"] == model.mixer.mixers["near"]
    assert Decoder(match.model).init_state(1).layers[0].mixer.matrix_BHPV.shape[2] == 40
    with pytest.raises(UserError, match=r"out of reach of mamba2-2g\+window:7.*its mamba2\.d_state gives"):
        match_state(model, 10**9, 64)


def test_parameters_are_matched_by_the_feed_forwards():
    matched = match_params(model_of(STACKS["four"], d_ff=100), 30_000)
    assert sum(p.numel() for p in Decoder(matched).parameters()) == pytest.approx(30_000 + 29 * 16, rel=0.005)


MISTAKES = [
    (["mamba2", "windo"], "layers: 'windo' is neither a kind nor named in mixers (did you mean \"window\"?)"),
    (["softmax"] * 3, "n_layers = 4: must be a multiple of the 3 layers of its stack"),
    ([], "mixer: layers = []: must name a mixer a layer"),
    ({"kind": "stack", "mixers": {}}, "missing key 'mixer.layers'; add it"),
    ({"kind": "stack", "layers": ["softmax"], "mixers": {"x": {"kind": "softmax"}}}, "mixers.x: stands in no layer"),
    ({"kind": "stack", "layers": ["softmax"], "free": "softmax"}, 'free = "softmax": must name a mixer of the stack'),
    ({"kind": "stack", "layers": ["w"], "mixers": {"w": {"kind": "window", "windw": 3}}}, '(did you mean "window"?)'),
    ({"kind": "stack", "layers": ["w"], "mixers": {"w": {"kind": "softmax", "d_model": 8}}}, "mixer.d_model = 8: must"),
]


@pytest.mark.parametrize("mixer, message", MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_told_in_one_line(mixer, message):
    with pytest.raises(UserError) as caught:
        model_of(mixer)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
