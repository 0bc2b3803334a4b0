"""Rotary knows distances alone; stretched ones are those that were published; the notes' mistakes are told apart."""

from __future__ import annotations

import math

import pytest
import torch

from isostate.config import UserError
from isostate.mixers.rotary import RotaryConfig, rotate
from isostate.mixers.softmax import SoftmaxConfig
from tests.mixers.runs import build, tokens
from tests.tolerances import assert_agrees

CPU = torch.device("cpu")
SCALED = {
    "linear": {"factor": 4.0},
    "ntk": {"factor": 4.0},
    "yarn": {"factor": 4.0, "trained_context": 4096},
    "llama3": {"factor": 8.0, "trained_context": 8192, "base": 500_000.0},
}
every_scaling = pytest.mark.parametrize("scaling", SCALED)


def rotary_of(scaling: str, **changes) -> RotaryConfig:
    return RotaryConfig.parse({"scaling": scaling} | SCALED[scaling] | changes, "m")


def at(x_BHTK: torch.Tensor, position: int) -> torch.Tensor:
    return rotate(x_BHTK, position)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_rotary_scores_depend_on_the_distance_alone_and_the_notes_do_not():
    q, k = normal(1, 1, 1, 8), normal(1, 1, 1, 8, seed=1)
    scores = [(at(q, s + 5) * at(k, s)).sum() for s in (0, 3, 1000)]
    assert_agrees(torch.stack(scores), scores[0].expand(3))
    assert (scores[0] - (at(q, 7) * at(k, 0)).sum()).abs() > 1e-3, "another distance, another score"
    # The note turns keys the other way: R(s)^T k. Scores then depend on the sum of positions.
    wrong = [(at(q, s + 5) * at(k, -s)).sum() for s in (0, 3, 1000)]
    assert (wrong[0] - wrong[1]).abs() > 1e-3


def test_pairs_turn_by_position_times_base_to_the_minus_2i_over_the_head_size():
    size, position = 8, 3
    angles = [position * 10_000 ** (-2 * i / size) for i in range(size // 2)]
    for i, angle in enumerate(angles):
        unit = torch.zeros(1, 1, 1, size, dtype=torch.float64)
        unit[..., i] = 1.0
        turned = at(unit, position)[0, 0, 0]
        wanted = torch.zeros(size, dtype=torch.float64)
        wanted[i], wanted[i + size // 2] = math.cos(angle), math.sin(angle)
        assert_agrees(turned, wanted, f"pair {i}")
    # The note has 10^(-8 d / D) with d stepping by 2 and D the model width: other angles for every pair but the first.
    for d, right in list(zip(range(0, size, 2), angles, strict=True))[1:]:
        assert position * 10 ** (-8 * d / size) != pytest.approx(right, rel=0.1), "d stepping by 2, over the head size"
        assert position * 10 ** (-8 * d / 64) != pytest.approx(right, rel=0.1), "over the model width"


def test_a_rotation_keeps_lengths_and_starts_where_it_is_told():
    x = normal(2, 3, 6, 4)
    assert_agrees(at(x, 11).norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(at(x, 0)[:, :, :1], x[:, :, :1])
    assert_agrees(at(x[:, :, 4:], 4), at(x, 0)[:, :, 4:])


@every_scaling
def test_a_stretched_rotation_knows_distances_alone_too(scaling):
    rotary = rotary_of(scaling)
    q, k = normal(1, 1, 1, 64), normal(1, 1, 1, 64, seed=1)
    scores = [(rotate(q, s + 5, rotary) * rotate(k, s, rotary)).sum() for s in (0, 3, 1000)]
    assert_agrees(torch.stack(scores), scores[0].expand(3))
    assert (scores[0] - (at(q, 5) * at(k, 0)).sum()).abs() > 1e-3, "others than the plain ones"


def test_slow_pairs_are_stretched_by_the_whole_factor_and_fast_ones_as_published():
    plain = RotaryConfig().frequencies(64, CPU)
    assert_agrees(rotary_of("linear").frequencies(64, CPU), plain / 4)
    ratio = plain / rotary_of("ntk").frequencies(64, CPU)
    assert (ratio[0].item(), ratio[-1].item()) == (1.0, pytest.approx(4.0))
    for scaling, slow, fast in (("yarn", 1, 32), ("llama3", 1, 4)):
        rotary = rotary_of(scaling)
        plain = RotaryConfig(base=rotary.base).frequencies(64, CPU)
        turns = rotary.trained_context * plain / (2 * math.pi)
        ratio = plain / rotary.frequencies(64, CPU)
        assert_agrees(ratio[turns > 1.5 * fast], torch.ones(int((turns > 1.5 * fast).sum()), dtype=torch.float64))
        assert_agrees(ratio[turns < slow / 1.5], torch.full_like(ratio[turns < slow / 1.5], rotary.factor))
        assert (ratio.diff() >= -1e-12).all()
    assert {s: rotary_of(s).gain for s in SCALED} == {"linear": 1, "ntk": 1, "yarn": 1 + 0.1 * math.log(4), "llama3": 1}


def test_llama_3_1s_frequencies_are_those_of_its_code():
    # Head size 128, base 500,000, factor 8: by hand, pair 32 turns 1.8 times within 8,192 tokens, so it is in the ramp.
    frequencies = rotary_of("llama3").frequencies(128, CPU)
    plain = [500_000 ** (-2 * i / 128) for i in range(64)]
    turns = 8192 * plain[32] / (2 * math.pi)
    assert 1 < turns < 4
    smooth = (turns - 1) / 3
    assert frequencies[32].item() == pytest.approx((1 - smooth) * plain[32] / 8 + smooth * plain[32], rel=1e-12)
    assert frequencies[28].item() == pytest.approx(plain[28], rel=1e-12)
    assert frequencies[50].item() == pytest.approx(plain[50] / 8, rel=1e-12)


@pytest.mark.slow  # importing transformers takes seconds
@every_scaling
def test_frequencies_are_hugging_faces(scaling):
    if scaling == "ntk":
        pytest.skip("there it follows the length, which a cache of turned keys cannot")
    utils = pytest.importorskip("transformers.modeling_rope_utils", reason="pip install transformers")
    transformers = pytest.importorskip("transformers")
    rotary = rotary_of(scaling)
    given = {"rope_type": scaling, "rope_theta": rotary.base, "factor": rotary.factor}
    if rotary.trained_context:
        given["original_max_position_embeddings"] = rotary.trained_context
    if scaling == "llama3":
        given |= {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
    sizes = {"hidden_size": 256, "num_attention_heads": 4, "max_position_embeddings": 65_536}
    config = transformers.LlamaConfig(**sizes, rope_parameters=given)
    wanted, gain = utils.ROPE_INIT_FUNCTIONS[scaling](config, CPU)
    assert rotary.gain == pytest.approx(gain)
    assert ((rotary.frequencies(64, CPU) - wanted) / wanted).abs().max() < 1e-5


@every_scaling
def test_a_mixer_takes_its_own(scaling):
    sizes = {"d_model": 32, "n_heads": 2, "positions": "rotary"}
    plain, scaled = SoftmaxConfig(**sizes), SoftmaxConfig(**sizes, rotary=rotary_of(scaling))
    x_BTD = tokens(plain, 40)
    assert (build(plain)(x_BTD)[0] - build(scaled)(x_BTD)[0]).abs().max() > 1e-4
    whole_BTD, _ = build(scaled)(x_BTD)
    first_BTD, state = build(scaled)(x_BTD[:, :17])
    assert_agrees(torch.cat([first_BTD, build(scaled)(x_BTD[:, 17:], state)[0]], 1), whole_BTD)


MISTAKES = [
    ({"base": 0.5}, "base = 0.5: must be larger than 1"),
    ({"factor": 2.0}, 'factor = 2: must be at least 1, and 1 where scaling = "none"'),
    ({"scaling": "linear", "factor": 0.5}, "factor = 0.5: must be at least 1"),
    ({"scaling": "yarn", "factor": 2.0}, 'scaling = "yarn" needs trained_context'),
    ({"scaling": "linear", "factor": 2.0, "trained_context": 9}, 'scaling = "linear" knows no trained_context'),
    ({"scaling": "linear", "factor": 2.0, "slow": 1.0}, 'slow, fast: scaling = "linear" has no ramp'),
    ({"scaling": "yarn", "factor": 2.0, "trained_context": 9, "slow": 40.0}, "slow, fast = [40.0, 32.0]: must be"),
]


@pytest.mark.parametrize("values, message", MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_told_in_one_line(values, message):
    with pytest.raises(UserError) as caught:
        RotaryConfig.parse(values, "m")
    assert message in str(caught.value)


def test_positions_that_do_not_turn_take_none():
    with pytest.raises(UserError, match='rotary: positions = "alibi" turn nothing'):
        SoftmaxConfig.parse({"d_model": 8, "positions": "alibi", "rotary": {}}, "m")
