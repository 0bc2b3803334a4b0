"""The decoder: sizes are those built, the block is the formula, weights follow the seed, state carries a sequence."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from isostate.config import UserError
from isostate.mixers import FORMS, MixerConfig
from isostate.model import Decoder, ModelConfig, decayed_parameters
from isostate.model.decoder import default_d_ff
from tests.mixers.cases import CASES, name_of
from tests.tolerances import assert_agrees

VOCABULARY, B, T = 29, 2, 45
every_case = pytest.mark.parametrize("mixer", CASES, ids=name_of)


def config_of(mixer: MixerConfig, **changes) -> ModelConfig:
    sizes = {"vocab_size": VOCABULARY, "n_layers": 2, "d_model": mixer.d_model}
    return ModelConfig.parse(sizes | {"mixer": mixer.to_dict()} | changes, "m")


def tokens(length: int = T, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, VOCABULARY, (B, length), generator=torch.Generator().manual_seed(seed))


def every_option(mixer: MixerConfig) -> list[ModelConfig]:
    options = itertools.product(("swiglu", "gelu"), ("rms", "layer"), (0, 4), ("tied", "untied"), (None, 7))
    return [
        config_of(mixer, mlp=mlp, norm=norm, conv_taps=taps, embeddings=embeddings, d_ff=d_ff)
        for mlp, norm, taps, embeddings, d_ff in options
    ]


@every_case
def test_parameters_are_counted_as_built(mixer):
    for config in every_option(mixer):
        model = Decoder(config)
        total = sum(parameter.numel() for parameter in model.parameters())
        tables = model.embedding.weight.numel() + (0 if model.head is None else model.head.weight.numel())
        count = config.param_count()
        assert (count.total, count.embedding, count.non_embedding) == (total, tables, total - tables)


@pytest.mark.parametrize("taps", [0, 2, 4])
@every_case
def test_predicted_state_equals_the_live_one_taps_included(mixer, taps):
    config = config_of(mixer, conv_taps=taps)
    model = Decoder(config)
    for length in (1, 7, T):
        _, state = model.token_losses(tokens(length), tokens(length))
        predicted = config.state_size(length)
        assert (state.numel, state.nbytes) == (B * predicted.elements, B * predicted.state_bytes)
        assert predicted.parts.get("convolution") == (2 * (taps - 1) * mixer.d_model if taps else None)


@every_case
def test_state_carried_over_segments_equals_the_whole(mixer):
    model = Decoder(config_of(mixer, conv_taps=4)).double()
    losses_BT, _ = model.token_losses(tokens(), tokens(seed=1))
    for pieces in ([1, 44], [22, 23], [2, 3, 40], [15, 15, 15]):
        state, got = None, []
        for tokens_BT, targets_BT in zip(tokens().split(pieces, 1), tokens(seed=1).split(pieces, 1), strict=True):
            piece, state = model.token_losses(tokens_BT, targets_BT, state)
            got.append(piece)
        assert_agrees(torch.cat(got, 1), losses_BT, f"pieces {pieces}")


@every_case
def test_forms_agree_and_the_loss_is_cross_entropy_on_logits(mixer):
    model = Decoder(config_of(mixer, conv_taps=3)).double()
    logits_BTU, _ = model(tokens(), form="recurrent")
    want = cross_entropy(logits_BTU.flatten(0, 1), tokens(seed=1).flatten())
    parameters = list(model.parameters())
    wanted = torch.autograd.grad(want, parameters)
    largest = max(grad.norm() for grad in wanted)
    for form in FORMS:
        loss, _ = model.loss(tokens(), tokens(seed=1), form=form)
        assert_agrees(loss, want, form)
        for ours, theirs in zip(torch.autograd.grad(loss, parameters), wanted, strict=True):
            assert (ours - theirs).norm() <= 1e-9 * max(theirs.norm(), 1e-3 * largest), form
    losses_BT, _ = model.token_losses(tokens(), tokens(seed=1))
    assert_agrees(losses_BT.mean(), want.detach())


def test_a_loss_depends_on_no_later_token():
    model = Decoder(config_of(CASES[-1], conv_taps=4)).double()
    changed_BT = tokens()
    changed_BT[:, 30:] = (changed_BT[:, 30:] + 1) % VOCABULARY
    first, second = (model.token_losses(x, tokens(seed=1))[0] for x in (tokens(), changed_BT))
    assert torch.equal(first[:, :30], second[:, :30])
    assert not torch.equal(first[:, 30:], second[:, 30:])


@pytest.mark.parametrize("norm", ["rms", "layer"])
def test_a_block_is_the_formula_and_not_the_notes(norm):
    model = Decoder(config_of(CASES[0], norm=norm)).double()
    block = model.blocks[0]
    z_BTD = torch.randn(B, T, CASES[0].d_model, dtype=torch.float64)
    got_BTD, _ = block(z_BTD, block.init_state(B), "chunked")
    attended_BTD = block.mixer(block.mixer_norm(z_BTD))[0]
    residual_BTD = z_BTD + attended_BTD
    assert_agrees(got_BTD, residual_BTD + block.mlp(block.mlp_norm(residual_BTD)))
    note_BTD = z_BTD + block.mlp(block.mlp_norm(residual_BTD))  # loses the mixer's residual
    parallel_BTD = z_BTD + block.mlp(z_BTD) + attended_BTD  # the note's parallel block, without its norm
    assert (got_BTD - note_BTD).abs().max() > 1e-2
    assert (got_BTD - parallel_BTD).abs().max() > 1e-2


def test_the_same_seed_gives_the_same_weights_whatever_happened_before():
    config = config_of(CASES[-2], conv_taps=4)
    first = Decoder(config, seed=3).state_dict()
    torch.randn(1000)
    second, other = Decoder(config, seed=3).state_dict(), Decoder(config, seed=4).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    drawn = [name for name, tensor in first.items() if tensor.ndim == 2 and not name.endswith("taps_WD")]
    assert not any(torch.equal(first[name], other[name]) for name in drawn)
    assert len(drawn) == 1 + 2 * 4


def test_weights_start_at_the_scales_of_the_docstring():
    mixer = {"kind": "softmax", "n_heads": 4}
    sizes = {"vocab_size": 512, "n_layers": 8, "d_model": 256, "embeddings": "untied"}
    model = Decoder(ModelConfig.parse(sizes | {"mixer": mixer}, "m"))
    block = model.blocks[5]
    for weight, fan_in, share in [
        (model.embedding.weight, 256, 1),
        (model.head.weight, 256, 1),
        (block.mixer.in_proj.weight, 256, 1),
        (block.mixer.out_proj.weight, 256, 16),
        (block.mlp.in_proj.weight, 256, 1),
        (block.mlp.out_proj.weight, model.config.d_ff, 16),
    ]:
        assert weight.std().item() == pytest.approx((fan_in * share) ** -0.5, rel=0.02)
    losses_BT, _ = model.token_losses(tokens(), tokens(seed=1))
    assert abs(losses_BT.mean().item() - math.log(512)) < 1, "a fresh model is near the uniform guess"


@every_case
def test_matrices_decay_and_vectors_taps_and_embeddings_do_not(mixer):
    model = Decoder(config_of(mixer, conv_taps=4, embeddings="untied"))
    decay, rest = decayed_parameters(model)
    assert decay.keys() | rest.keys() == dict(model.named_parameters()).keys()
    assert not decay.keys() & rest.keys()
    matrices = {"mixer.in_proj.weight", "mixer.out_proj.weight", "mlp.in_proj.weight", "mlp.out_proj.weight"}
    assert decay.keys() == {f"blocks.{n}.{name}" for n in (0, 1) for name in matrices} | {"head.weight"}


def test_the_default_width_of_the_feed_forward_is_a_multiple_of_8():
    assert [default_d_ff(width, "swiglu") for width in (1, 96, 100, 768)] == [8, 256, 264, 2048]
    assert [default_d_ff(width, "gelu") for width in (1, 96, 100, 768)] == [8, 384, 400, 3072]


MISTAKES = [
    ({"n_layers": 0}, "n_layers = 0: must be at least 1"),
    ({"vocab_size": -1}, "vocab_size = -1: must be at least 1"),
    ({"d_ff": 0}, "d_ff = 0: must be at least 1"),
    ({"conv_taps": 1}, "conv_taps = 1: 0 for no convolution, or at least 2"),
    ({"conv_taps": -1}, "conv_taps = -1: 0 for no convolution, or at least 2"),
    ({"mixer": {"kind": "softmax", "d_model": 8}}, "mixer.d_model = 8: must equal d_model = 16; leave it out"),
    ({"mixer": {"kind": "sofmax"}}, 'mixer.kind = "sofmax": no such kind (did you mean "softmax"?)'),
    ({"mixer": {}}, "missing key 'mixer.kind'"),
    # A window has a key of the name of its kind: neither may be taken for the other.
    ({"mixer": {"kind": "window", "windw": 3}}, "unknown key 'mixer.windw' (did you mean \"window\"?)"),
    (
        {"mixer": {"kind": "window", "window": 3, "widow": 3}},
        "key 'mixer.widow' (did you mean \"window\"?); known",
    ),
    ({"mixer": {"kind": "window"}}, "missing key 'mixer.window'; add it"),
    ({"mixer": {"kind": "window", "window": "w"}}, 'mixer.window = "w": input should be a valid integer'),
    ({"mixer": {"kind": "window", "window": 3, "n_kv_heads": 3}}, "mixer: n_kv_heads = 3: must divide n_heads = 4"),
    ({"d_model": 10}, "n_heads = 4: must divide d_model = 10"),
]


@pytest.mark.parametrize("changes, message", MISTAKES, ids=[message for _, message in MISTAKES])
def test_a_mistake_is_told_in_one_line(changes, message):
    values = {"vocab_size": 256, "n_layers": 2, "d_model": 16, "mixer": {"kind": "softmax"}} | changes
    with pytest.raises(UserError) as caught:
        ModelConfig.parse(values, "study.toml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
