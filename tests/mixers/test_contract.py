"""The contract: predicted states are the live ones, states can be measured, copied and moved, mistakes teach."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from isostate.config import UserError
from isostate.mixers import FORMS, MIXERS, State, build_mixer, engine_kernel, feature_maps, projections, rotary
from isostate.mixers.linear import LinearConfig
from isostate.mixers.power import PowerConfig
from isostate.mixers.softmax import KeyValueState, SoftmaxConfig
from isostate.mixers.taylor import TaylorConfig
from isostate.mixers.window import WindowConfig
from tests.mixers.cases import CASES, name_of
from tests.mixers.runs import BATCH, build, tokens
from tests.tolerances import assert_agrees

every_case = pytest.mark.parametrize("config", CASES, ids=name_of)


PARTS = {"k": "keys", "v": "values", "past": "convolution"}  # fields of states whose names are shorter


def parts_of(state: State) -> dict[str, int]:
    """Live elements of one sequence by the names that `state_size` uses."""
    parts: dict[str, int] = {}
    for field in dataclasses.fields(state):
        value, name = getattr(state, field.name), field.name.rpartition("_")[0]
        if isinstance(value, Tensor):
            parts[PARTS.get(name, name)] = value[0].numel()
        elif isinstance(value, State):
            parts |= parts_of(value)
    return parts


@pytest.mark.parametrize("length", [1, 6, 7, 8, 64, 65])
@every_case
def test_predicted_state_equals_the_live_one_part_by_part(config, length):
    mixer = build(config, torch.float32)
    predicted = config.state_size(length)
    for form in ("chunked", "recurrent") if length < 10 else ("parallel", "chunked"):
        with torch.no_grad():
            _, state = mixer(tokens(config, length, torch.float32), form=form)
        assert parts_of(state) == predicted.parts
        assert (state.numel, state.nbytes) == (BATCH * predicted.elements, BATCH * predicted.state_bytes)


@every_case
def test_the_empty_state_is_what_none_means(config):
    mixer, x_BTD = build(config), tokens(config, 9)
    given, _ = mixer(x_BTD, mixer.init_state(BATCH))
    assert torch.equal(given, mixer(x_BTD)[0])
    assert mixer.init_state(BATCH).position == 0


@every_case
def test_prefill_then_decoding_equals_one_forward(config):
    mixer, x_BTD = build(config), tokens(config, 45)
    with torch.no_grad():
        whole_BTD, _ = mixer(x_BTD)
        y_BTD, state = mixer(x_BTD[:, :38])
        outputs = [y_BTD]
        for t in range(38, 45):
            y_BTD, state = mixer(x_BTD[:, t : t + 1], state, "recurrent")
            outputs.append(y_BTD)
    assert_agrees(torch.cat(outputs, 1), whole_BTD)


@every_case
def test_parameters_are_counted_as_built(config):
    assert config.n_params() == sum(parameter.numel() for parameter in build_mixer(config).parameters())


def test_a_form_that_is_none_is_refused_by_name():
    mixer = build(CASES[0])
    with pytest.raises(ValueError, match="form 'fast': choose one of recurrent, parallel, chunked"):
        mixer(tokens(CASES[0], 2), form="fast")
    assert FORMS == ("recurrent", "parallel", "chunked")


def test_one_linear_head_of_gpt2_xl_remembers_its_width_squared():
    matrix = 48 * LinearConfig(d_model=1600, n_heads=1).state_size(1024).parts["matrix"]
    assert matrix == 122_880_000
    head_varied = [48 * LinearConfig(d_model=1600, n_heads=h).state_size(1).parts["matrix"] for h in (1, 2, 25)]
    assert head_varied == [48 * 1600**2 // h for h in (1, 2, 25)]


def test_states_of_gpt2_124m_are_those_of_formulas_1_4():
    gpt2 = {"d_model": 768, "n_heads": 12}
    assert 12 * LinearConfig(**gpt2).state_size(1024).parts["matrix"] == 589_824
    power = 12 * PowerConfig(**gpt2, degree=2).state_size(1024)
    assert power.parts["matrix"] == 19_169_280
    # "Counting D (d + 1)" is counting the normaliser too: another number, never the matrix alone.
    assert power.parts["matrix"] != 19_468_800
    assert power.elements == 19_468_800
    assert 12 * PowerConfig(**gpt2, degree=2, normaliser="none").state_size(1024).elements == 19_169_280
    for config in (WindowConfig(**gpt2, window=1024), SoftmaxConfig(**gpt2)):
        assert 12 * config.state_size(1024).elements == 18_874_368
    assert 12 * WindowConfig(**gpt2, window=1024).state_size(8192).elements == 18_874_368
    assert 12 * SoftmaxConfig(**gpt2).state_size(8192).elements == 8 * 18_874_368


def test_grouped_queries_share_their_state():
    sizes = [SoftmaxConfig(d_model=64, n_heads=8, n_kv_heads=g).state_size(10).elements for g in (8, 4, 1)]
    assert sizes == [1280, 640, 160]


@pytest.mark.parametrize("config", [c for c in CASES if c.knob], ids=name_of)
def test_every_knob_value_builds_and_states_grow_along_them(config):
    values = list(config.knob_values(70))
    free = {"n_heads": "head_dim", "head_dim": "n_heads"}.get(config.knob)
    base = {key: value for key, value in config.to_dict().items() if key != free}
    if free and config.d_model != config.n_heads * config.head_dim:
        pytest.skip("a width of its own")
    configs = [type(config).model_validate(base | {config.knob: value}) for value in values]
    sizes = [c.state_size(70).elements for c in configs]
    assert sizes == sorted(sizes)
    assert len(set(sizes)) == len(sizes) > 1
    assert [c.knob_value for c in configs] == values


@dataclass(frozen=True)
class Pair(State):
    """A state of states, as a decoder's is."""

    inner: tuple[KeyValueState, ...]
    sums_BK: Tensor
    position: int = 0


@pytest.fixture
def pair() -> Pair:
    cache = KeyValueState(torch.randn(3, 2, 4, 5), torch.randn(3, 2, 4, 5, dtype=torch.float64), 4)
    return Pair((cache, cache.map(lambda tensor: tensor + 1)), torch.randn(3, 7, requires_grad=True), 4)


def test_a_state_counts_elements_and_bytes_through_its_parts(pair):
    assert pair.numel == 2 * (120 + 120) + 21
    assert pair.nbytes == 2 * (120 * 4 + 120 * 8) + 21 * 4


def test_a_detached_state_takes_no_gradient_and_a_clone_shares_no_memory(pair):
    assert not any(tensor.requires_grad for tensor in pair.detach().tensors())
    clone = pair.clone()
    for tensor, original in zip(clone.tensors(), pair.tensors(), strict=True):
        assert torch.equal(tensor, original)
        assert tensor.data_ptr() != original.data_ptr()
    assert (clone.position, clone.inner[1].position) == (4, 4)


def test_indexing_picks_repeats_and_reorders_sequences(pair):
    rows = pair.index(torch.tensor([2, 0, 0, 1]))
    assert torch.equal(rows.inner[1].v_BGSV, pair.inner[1].v_BGSV[[2, 0, 0, 1]])
    assert torch.equal(rows.sums_BK, pair.sums_BK[[2, 0, 0, 1]])
    assert rows.position == 4


def test_a_state_moves_to_another_device(pair):
    assert {tensor.device.type for tensor in pair.to("meta").tensors()} == {"meta"}


@every_case
def test_an_indexed_state_continues_its_own_sequence(config):
    mixer, x_BTD = build(config), tokens(config, 20)
    _, state = mixer(x_BTD[:, :12])
    y_BTD, _ = mixer(x_BTD[:, 12:], state)
    swapped_BTD, _ = mixer(x_BTD[:, 12:].flip(0), state.index(torch.tensor([1, 0])))
    assert_agrees(swapped_BTD.flip(0), y_BTD)


@every_case
def test_a_mixer_that_first_ran_in_inference_mode_still_trains(config):
    tables = (feature_maps._factors, feature_maps._weights, engine_kernel._tables)
    for cache in (rotary._rotation, projections.alibi_slopes, *tables):
        cache.cache_clear()
    mixer, x_BTD = build(config), tokens(config, 31)
    with torch.inference_mode():
        for form in FORMS:
            mixer(x_BTD, form=form)
    for form in FORMS:
        mixer(x_BTD, form=form)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in mixer.parameters())


MISTAKES = [
    ({"kind": "softmax", "d_model": 10}, "n_heads = 4: must divide d_model = 10"),
    ({"kind": "softmax", "d_model": 16, "n_heads": 5}, "n_heads = 5: must divide d_model = 16; or give head_dim too"),
    ({"kind": "softmax", "d_model": 16, "n_heads": 0}, "n_heads = 0: must divide"),
    ({"kind": "softmax", "d_model": 0, "n_heads": 1, "head_dim": 1}, "d_model = 0: must be at least 1"),
    ({"kind": "softmax", "d_model": 16, "n_kv_heads": 3}, "n_kv_heads = 3: must divide n_heads = 4"),
    ({"kind": "softmax", "d_model": 12, "head_dim": 3, "positions": "rotary"}, "head_dim = 3: rotary turns pairs"),
    ({"kind": "window", "d_model": 16, "window": 0}, "window = 0: must be at least 1"),
    ({"kind": "window", "d_model": 16, "window": 3, "sinks": -1}, "sinks = -1: must be 0 or more"),
    ({"kind": "window", "d_model": 16}, "missing key 'window'; add it"),
    ({"kind": "linear", "d_model": 16, "phi": "identity"}, 'set normaliser = "none"'),
    ({"kind": "linear", "d_model": 16, "positions": "rotary"}, "forgets relative positions"),
    ({"kind": "linear", "d_model": 16, "chunk": 0}, "chunk = 0: must be at least 1"),
    ({"kind": "linear", "d_model": 16, "decay": "retention", "positions": "alibi"}, "are both a fixed decay"),
    ({"kind": "taylor", "d_model": 16, "order": 3}, "an odd order makes negative weights"),
    ({"kind": "taylor", "d_model": 16, "order": 9}, "order = 9: must be 1 to 8"),
    ({"kind": "power", "d_model": 16, "degree": 3}, "an odd power makes negative weights"),
    ({"kind": "power", "d_model": 16, "degree": 0}, "degree = 0: must be 1 to 8"),
    ({"kind": "mamba2", "d_model": 16, "n_heads": 3}, "n_heads = 3: must divide expand * d_model = 32"),
    ({"kind": "mamba2", "d_model": 16, "n_heads": 4, "head_dim": 4}, "their product must be expand * d_model = 32"),
    ({"kind": "mamba2", "d_model": 16, "n_groups": 3}, "n_groups = 3: must divide n_heads = 4"),
    ({"kind": "mamba2", "d_model": 16, "conv_taps": 1}, "conv_taps = 1: must be at least 2"),
    ({"kind": "mamba2", "d_model": 16, "chunk": 0}, "chunk = 0: must be at least 1"),
    ({"kind": "mamba2", "d_model": 16, "step_limits": [0.1, 0.01]}, "step_limits = [0.1, 0.01]: must be two steps"),
    ({"kind": "power", "d_model": 16, "degre": 2}, "unknown key 'degre' (did you mean \"degree\"?)"),
]


@pytest.mark.parametrize("values, message", MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_told_in_one_line(values, message):
    with pytest.raises(UserError) as caught:
        MIXERS[values["kind"]].config.parse(values, "study.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_families_that_differ_in_more_than_their_knob_have_names_of_their_own():
    names = {name_of(c).split("/")[0] for c in CASES}
    expected = {
        "softmax",
        "softmax-2kv",
        "window",
        "window-1kv-3sinks",
        "linear",
        "linear-elu+1",
        "linear-identity-gated-raw",
    }
    assert names >= expected | {"taylor-2", "taylor-2-gated", "power-2", "power-6-gated", "power-3-raw"}


def test_widths_need_not_be_the_models():
    config = TaylorConfig(d_model=16, n_heads=3, head_dim=4)
    assert build(config)(tokens(config, 5))[0].shape == (BATCH, 5, 16)
    assert config.state_size(5).parts == {"matrix": 3 * math.comb(6, 2) * 4, "normaliser": 3 * math.comb(6, 2)}
