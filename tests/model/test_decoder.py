"""The decoder: sizes are those built, the block is the formula, weights follow the seed, state carries a sequence."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from isostate.config import UserError
from isostate.mixers import FORMS
from isostate.model import Decoder, ModelConfig, decayed_parameters
from isostate.model.decoder import sinusoids
from tests.mixers.cases import CASES, name_of
from tests.model.options import OPTIONS, VOCABULARY, B, T, config_of, tokens
from tests.tolerances import assert_agrees

every_case = pytest.mark.parametrize("mixer", CASES, ids=name_of)


@pytest.mark.parametrize("taps", [0, 2, 4])
@every_case
def test_predicted_state_equals_the_live_one_taps_included(mixer, taps):
    config = config_of(mixer, conv_taps=taps)
    model = Decoder(config)
    for length in (1, 7, T):
        _, state = model.token_losses(tokens(length), tokens(length))
        predicted = config.state_size(length)
        assert (state.numel, state.nbytes) == (B * predicted.elements, B * predicted.state_bytes)
        of_mixers = 2 * mixer.state_size(length).parts.get("convolution", 0)
        assert predicted.parts.get("convolution", 0) == of_mixers + (2 * (taps - 1) * mixer.d_model if taps else 0)


def options_for(mixer) -> dict[str, dict]:
    """All of them for two mixers that stand for the rest, which see them two at a time."""
    if mixer in (CASES[2], CASES[19]):
        return OPTIONS
    return {name: OPTIONS[name] for name in ("convolution", "everything", "everything, parallel")}


@every_case
def test_state_carried_over_segments_equals_the_whole(mixer):
    for name, changes in options_for(mixer).items():
        model = Decoder(config_of(mixer, **changes)).double()
        losses_BT, _ = model.token_losses(tokens(), tokens(seed=1))
        for pieces in ([1, 44], [22, 23], [2, 3, 40], [15, 15, 15]):
            state, got = None, []
            for tokens_BT, targets_BT in zip(tokens().split(pieces, 1), tokens(seed=1).split(pieces, 1), strict=True):
                piece, state = model.token_losses(tokens_BT, targets_BT, state)
                got.append(piece)
            assert_agrees(torch.cat(got, 1), losses_BT, f"{name}, pieces {pieces}")
            assert state.position == T


@every_case
def test_forms_agree_and_the_loss_is_cross_entropy_on_logits(mixer):
    for name, changes in options_for(mixer).items():
        model = Decoder(config_of(mixer, **changes)).double().eval()
        logits_BTU, _ = model(tokens(), form="recurrent")
        want = cross_entropy(logits_BTU.flatten(0, 1), tokens(seed=1).flatten())
        parameters = list(model.parameters())
        wanted = torch.autograd.grad(want, parameters)
        largest = max(grad.norm() for grad in wanted)
        for form in FORMS:
            loss, _ = model.loss(tokens(), tokens(seed=1), form=form)
            assert_agrees(loss, want, f"{name}, {form}")
            for ours, theirs in zip(torch.autograd.grad(loss, parameters), wanted, strict=True):
                assert (ours - theirs).norm() <= 1e-9 * max(theirs.norm(), 1e-3 * largest), (name, form)
        losses_BT, _ = model.token_losses(tokens(), tokens(seed=1))
        assert_agrees(losses_BT.mean(), want.detach(), name)


def test_a_capped_logit_is_the_cap_times_a_hyperbolic_tangent():
    model, plain = (Decoder(config_of(CASES[0], logit_cap=cap)).double() for cap in (2.0, None))
    logits_BTU = plain(tokens())[0]
    assert_agrees(model(tokens())[0], 2 * torch.tanh(logits_BTU / 2))
    assert (model(tokens())[0] - logits_BTU).abs().max() > 0.1


def test_positions_are_added_to_the_embeddings():
    learned = Decoder(config_of(CASES[0], position_embedding="learned", max_context=60)).double()
    table_TD = learned.embedding_of_positions_SD[:T]
    assert_agrees(learned._embed(tokens(), 0), learned.embedding(tokens()) + table_TD)
    assert_agrees(learned._embed(tokens(), 15), learned.embedding(tokens()) + learned.embedding_of_positions_SD[15:])
    model = Decoder(config_of(CASES[0], position_embedding="sinusoidal")).double()
    added_BTD = model._embed(tokens(), 7) - 16**0.5 * model.embedding(tokens())
    for t, i in ((0, 0), (3, 2), (T - 1, 7)):  # Vaswani et al. 2017, section 3.5
        angle = (7 + t) / 10_000 ** (2 * i / 16)
        assert added_BTD[0, t, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-9)
        assert added_BTD[1, t, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-9)
    assert sinusoids(0, 5, 7, torch.float64, torch.device("cpu")).shape == (5, 7), "an odd width loses one cosine"


def test_a_context_longer_than_the_learned_positions_is_refused_wherever_it_ends():
    model = Decoder(config_of(CASES[0], position_embedding="learned", max_context=50))
    _, state = model.token_losses(tokens(), tokens())
    message = r"a context of 51 tokens: the learned positions end at max_context = 50; raise it, or shorten"
    with pytest.raises(UserError, match=message):
        model.token_losses(tokens(51), tokens(51))
    with pytest.raises(UserError, match=message):
        model.loss(tokens(6), tokens(6), state)
    model.loss(tokens(5), tokens(5), state)


def test_a_loss_depends_on_no_later_token():
    model = Decoder(config_of(CASES[23], conv_taps=4)).double()
    changed_BT = tokens()
    changed_BT[:, 30:] = (changed_BT[:, 30:] + 1) % VOCABULARY
    first, second = (model.token_losses(x, tokens(seed=1))[0] for x in (tokens(), changed_BT))
    assert torch.equal(first[:, :30], second[:, :30])
    assert not torch.equal(first[:, 30:], second[:, 30:])


def test_the_same_seed_gives_the_same_weights_whatever_happened_before():
    config = config_of(CASES[22], conv_taps=4)
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
    learned = {"position_embedding": "learned", "max_context": 512}
    model = Decoder(ModelConfig.parse(sizes | learned | {"mixer": mixer}, "m"))
    block = model.blocks[5]
    for weight, fan_in, share in [
        (model.embedding.weight, 256, 1),
        (model.embedding_of_positions_SD, 256, 1),
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
def test_matrices_decay_and_vectors_taps_biases_and_embeddings_do_not(mixer):
    learned = {"position_embedding": "learned", "max_context": 9}
    model = Decoder(config_of(mixer, conv_taps=4, embeddings="untied", bias="all", **learned))
    decay, rest = decayed_parameters(model)
    assert decay.keys() | rest.keys() == dict(model.named_parameters()).keys()
    assert not decay.keys() & rest.keys()
    matrices = {"mixer.in_proj.weight", "mixer.out_proj.weight", "mlp.in_proj.weight", "mlp.out_proj.weight"}
    matrices |= {"mixer.x_proj.weight", "mixer.dt_proj.weight"} if mixer.kind == "mamba" else set()
    matrices -= {"mixer.in_proj.weight"} if mixer.kind == "s4" else set()
    assert decay.keys() == {f"blocks.{n}.{name}" for n in (0, 1) for name in matrices} | {"head.weight"}


@every_case
def test_a_training_step_of_blocks_run_again_has_the_same_gradients_bit_for_bit(mixer):
    dropping = {"attention_dropout": 0.2} if hasattr(mixer, "attention_dropout") else {}
    for changes in ({}, OPTIONS["everything"], OPTIONS["everything, parallel"]):
        model = Decoder(config_of(mixer.model_copy(update=dropping), **changes))
        parameters = list(model.parameters())
        steps = {}
        for recompute in ("none", "blocks"):
            torch.manual_seed(0)
            loss = model.train_loss(tokens(), tokens(seed=1), recompute=recompute)
            steps[recompute] = [loss, *torch.autograd.grad(loss, parameters), torch.rand(())]
        assert all(torch.equal(a, b) for a, b in zip(*steps.values(), strict=True))


def test_a_training_step_is_the_loss_of_the_empty_state():
    for mixer in CASES:
        model = Decoder(config_of(mixer, conv_taps=3))
        for form in FORMS:
            want, _ = model.loss(tokens(), tokens(seed=1), form=form)
            assert torch.equal(model.train_loss(tokens(), tokens(seed=1), form), want)


def test_dropout_is_of_training_alone_and_follows_the_generator():
    mixer = CASES[0].model_copy(update={"attention_dropout": 0.5})
    model, plain = Decoder(config_of(mixer, dropout=0.5)), Decoder(config_of(CASES[0]))
    losses_BT, _ = plain.token_losses(tokens(), tokens(seed=1))
    assert torch.equal(model.token_losses(tokens(), tokens(seed=1))[0], losses_BT)
    assert model.training, "an evaluation leaves the mode as it was"
    losses = []
    for seed in (0, 1, 0):
        torch.manual_seed(seed)
        losses.append(model.train_loss(tokens(), tokens(seed=1)).item())
    assert losses[0] == losses[2] != losses[1]
    assert losses_BT.mean().item() not in losses
    model.eval()
    assert torch.equal(model.loss(tokens(), tokens(seed=1))[0], plain.loss(tokens(), tokens(seed=1))[0])
