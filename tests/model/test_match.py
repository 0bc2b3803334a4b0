"""Equal footing: wanted states and parameters are met, how nearly is told, and what cannot be met is said."""

from __future__ import annotations

import pytest

from isostate.config import UserError
from isostate.mixers import MIXERS
from isostate.model import Decoder, ModelConfig, knob_of, match_params, match_state

MIXERS_OF = {
    "window": {"window": 8},
    "window-gqa": {"kind": "window", "window": 8, "n_heads": 4, "n_kv_heads": 1},
    "linear": {},
    "linear-rotary": {"kind": "linear", "phi": "identity", "normaliser": "none", "positions": "rotary"},
    "taylor": {"qk_norm": "rms"},
    "power": {"gate": "head"},
    "mamba2": {"n_groups": 2, "d_state": 16},
    "mamba": {"d_state": 8},
    "s4": {"start": "inv"},
    "power-4": {"kind": "power", "degree": 4, "head_dim": 4},
}


def model_of(name: str, d_model: int = 64, **changes) -> ModelConfig:
    mixer = {"kind": name} | MIXERS_OF.get(name, {})
    return ModelConfig.parse({"vocab_size": 256, "n_layers": 2, "d_model": d_model, "mixer": mixer} | changes, "m")


@pytest.mark.parametrize("name", MIXERS_OF)
def test_a_state_that_the_family_can_have_is_met_exactly_and_built(name):
    model = model_of(name)
    for value in list(model.mixer.knob_values(256))[1:6]:
        wanted = _with(model, value).state_size(256).elements
        match = match_state(model, wanted, 256)
        assert (match.state_size, match.error) == (wanted, 0.0)
        assert match.model.state_size(256).elements == wanted
        assert match.model.mixer.family == model.mixer.family
        if hasattr(match.model.mixer, "n_heads"):
            assert match.model.mixer.n_heads * match.model.mixer.head_dim == 64 * (2 if name == "mamba2" else 1)
        Decoder(match.model)


def _with(model: ModelConfig, value: int) -> ModelConfig:
    free = {"n_heads": "head_dim", "head_dim": "n_heads"}.get(model.mixer.knob)
    mixer = {key: v for key, v in model.mixer.to_dict().items() if key != free} | {model.mixer.knob: value}
    return ModelConfig.parse(model.to_dict() | {"mixer": mixer}, "m")


def test_the_nearest_in_ratio_is_taken_and_the_error_is_told():
    model = model_of("window", mixer={"kind": "window", "window": 8, "n_heads": 1})
    match = match_state(model, 2 * 2 * 64 * 10 + 100, 256)  # ten positions and a bit
    assert match.model.mixer.window == 10
    assert match.error == pytest.approx(2560 / 2660 - 1)
    power = model_of("power")
    size = _with(power, 8).state_size(64).elements
    for factor in (0.7, 1.4):
        match = match_state(power, int(size * factor), 64)
        assert match.model.mixer.head_dim == 8
        assert match.error == pytest.approx(1 / factor - 1, rel=1e-2)


def test_the_convolution_counts_towards_the_wanted_state():
    model = model_of("window", conv_taps=4)
    match = match_state(model, 2 * (2 * 64 * 10 + 3 * 64), 256)
    assert (match.model.mixer.window, match.error) == (10, 0.0)


@pytest.mark.parametrize("wanted", [1, 10**9])
def test_a_state_out_of_reach_is_refused_with_what_is_in_reach(wanted):
    with pytest.raises(UserError, match="out of reach of power-2-gated: at this width its head_dim gives"):
        match_state(model_of("power"), wanted, 256)


@pytest.mark.parametrize("wanted", [0, -5])
def test_a_state_of_nothing_is_refused(wanted):
    with pytest.raises(UserError, match=f"state_size = {wanted}: must be at least 1"):
        match_state(model_of("power"), wanted, 256)


def test_a_family_without_a_knob_says_that_its_context_is_the_knob():
    with pytest.raises(UserError, match=r"softmax has no knob for its state; set data\.context instead"):
        match_state(model_of("softmax"), 1000, 256)


@pytest.mark.parametrize(
    "changes",
    [{"mlp": "swiglu"}, {"mlp": "gelu"}, {"mlp": "relu", "bias": "all", "block": "parallel", "norm": "layer"}],
)
@pytest.mark.parametrize("kind", MIXERS)
def test_parameters_come_within_half_a_percent_of_what_is_wanted(kind, changes):
    model = model_of(kind, **changes)
    for wanted in (120_000, 200_000, 1_234_567):
        matched = match_params(model, wanted)
        built = sum(p.numel() for p in Decoder(matched).parameters()) - 256 * 64
        assert abs(built / wanted - 1) <= 0.005
        assert matched.model_copy(update={"d_ff": model.d_ff}) == model, "nothing but the width of the MLP changes"
        for other in (-1, 1):
            count = matched.model_copy(update={"d_ff": matched.d_ff + other}).param_count().non_embedding
            assert abs(built - wanted) <= abs(count - wanted), "no other width comes nearer"


def test_parameters_that_the_mixer_alone_exceeds_are_refused():
    with pytest.raises(UserError, match=r"power-2-gated comes no nearer than \+.*set match_params = false"):
        match_params(model_of("power"), 10_000)


def test_a_model_too_small_to_be_that_fine_is_refused():
    model = model_of("linear", d_model=4, mixer={"kind": "linear", "n_heads": 1})
    least = model.model_copy(update={"d_ff": 1}).param_count().non_embedding
    with pytest.raises(UserError, match="use a larger d_model"):
        match_params(model, least + 11)


def test_the_knob_is_named_with_its_value():
    assert knob_of(model_of("power-4").mixer) == {"head_dim": 4}
    assert knob_of(model_of("window").mixer) == {"window": 8}
    assert knob_of(model_of("softmax").mixer) == {}


def test_without_an_mlp_there_is_no_width_to_match_with():
    model = ModelConfig.parse(
        {"vocab_size": 256, "n_layers": 2, "d_model": 16, "mlp": "none", "mixer": {"kind": "mamba"}}, "m"
    )
    with pytest.raises(UserError, match='mlp = "none" leaves no width to match with; set match_params = false'):
        match_params(model, 10_000)
