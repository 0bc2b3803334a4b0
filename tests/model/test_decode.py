"""Generation in buffers made once: logits and state are the model's, nothing is allocated, and ends are said."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from isostate.config import UserError
from isostate.costs import counting
from isostate.model import Decoder, DecoderState
from isostate.model.decode import Stepper
from tests.mixers.cases import CASES, name_of
from tests.model.options import OPTIONS, STACKS, B, config_of, tokens
from tests.tolerances import assert_agrees

LENGTH = 22
every_case = pytest.mark.parametrize("mixer", CASES, ids=name_of)
# Two mixers that stand for the rest: a cache and a matrix.
PAIRS = [(name, mixer) for name in OPTIONS for mixer in (CASES[2], CASES[19])]


def built(config, dtype=torch.float64) -> Decoder:
    """With no gain or bias at its start value."""
    model, generator = Decoder(config).to(dtype).eval(), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator).to(dtype)
    return model


def logits_of(stepper, tokens_BT):
    return torch.stack([stepper.step(tokens_B).clone() for tokens_B in tokens_BT.unbind(1)], dim=1)


def assert_steps(config) -> None:
    """From the empty state and from a prefilled one, equal to the chunked form; the given state stays as it was."""
    model, tokens_BT = built(config), tokens(LENGTH)
    stepper = Stepper(model, B, LENGTH)
    with torch.no_grad():
        want_BTU, after = model(tokens_BT)
        for prefilled in (0, 9):
            state = model(tokens_BT[:, :prefilled])[1] if prefilled else model.init_state(B)
            before = state.clone()
            stepper.load(state)
            assert_agrees(logits_of(stepper, tokens_BT[:, prefilled:]), want_BTU[:, prefilled:], f"after {prefilled}")
            ended = stepper.state()
            assert ended.position == after.position == LENGTH
            for ours, theirs in zip(ended.tensors(), after.tensors(), strict=True):
                assert_agrees(ours, theirs, f"state after {prefilled}")
            assert all(torch.equal(a, b) for a, b in zip(state.tensors(), before.tensors(), strict=True))


@every_case
def test_logits_and_state_equal_the_chunked_form(mixer):
    assert_steps(config_of(mixer))


@pytest.mark.parametrize("option, mixer", PAIRS, ids=[f"{name}, {mixer.kind}" for name, mixer in PAIRS])
def test_every_option_of_a_block_equals_the_chunked_form(option, mixer):
    assert_steps(config_of(mixer, **OPTIONS[option]))


@pytest.mark.parametrize("stack", STACKS)
def test_stacks_equal_the_chunked_form(stack):
    assert_steps(config_of(STACKS[stack], n_layers=4))


@every_case
def test_a_step_allocates_nothing_and_gives_the_same_bits_twice(mixer):
    for changes in (OPTIONS["everything"], OPTIONS["everything, parallel"]):
        stepper = Stepper(built(config_of(mixer, **changes), torch.float32), B, LENGTH)
        first_BTU, tokens_BT = logits_of(stepper, tokens(5)), tokens(5)

        def work(stepper=stepper, tokens_BT=tokens_BT) -> None:
            for t in range(5):
                stepper.step(tokens_BT[:, t])

        assert counting.allocations(work) == []
        stepper.clear()
        assert torch.equal(logits_of(stepper, tokens_BT), first_BTU)


def test_an_allocation_would_be_counted():
    stepper = Stepper(built(config_of(CASES[0])), B, LENGTH)
    stepper.calls.append(lambda: stepper.logits_BU + 0)
    tokens_B = tokens()[:, 0]
    stepper.step(tokens_B)
    assert max(counting.allocations(lambda: stepper.step(tokens_B))) == stepper.logits_BU.numel() * 8


def test_single_precision_is_as_near_as_the_recurrent_form():
    for mixer in (CASES[1], CASES[12], CASES[24], CASES[26], CASES[28]):
        model = built(config_of(mixer), torch.float32)
        with torch.no_grad():
            want_BTU = model(tokens(), form="recurrent")[0]
        assert_agrees(logits_of(Stepper(model, B, 45), tokens()), want_BTU, name_of(mixer))


def test_sequences_know_nothing_of_each_other():
    model = built(config_of(CASES[19]))
    both_BTU = logits_of(Stepper(model, B), tokens(8))
    for b in range(B):
        assert_agrees(both_BTU[b : b + 1], logits_of(Stepper(model, 1), tokens(8)[b : b + 1]))


def test_a_state_goes_back_into_training():
    model = built(config_of(CASES[19]))
    stepper = Stepper(model, B)
    stepper.step(tokens()[:, 0])
    loss, _ = model.loss(tokens(), tokens(seed=1), stepper.state())
    loss.backward()
    assert model.embedding.weight.grad is not None


def test_the_end_of_a_context_is_said_before_anything_changes():
    stepper = Stepper(built(config_of(CASES[0])), B, 3)
    logits_of(stepper, tokens(3))
    kept = stepper.state()
    with pytest.raises(UserError, match=r"^a context of 4 tokens: this decoder keeps 3; make one of a larger context$"):
        stepper.step(tokens()[:, 3])
    assert all(torch.equal(a, b) for a, b in zip(stepper.state().tensors(), kept.tensors(), strict=True))
    endless = Stepper(built(config_of(CASES[19])), B, 3)
    logits_of(endless, tokens(5))
    learned = Stepper(built(config_of(CASES[19], position_embedding="learned", max_context=2)), B)
    logits_of(learned, tokens(2))
    with pytest.raises(UserError, match="the learned positions end at max_context = 2"):
        learned.step(tokens()[:, 2])


def test_what_it_is_asked_wrongly_is_said_in_one_line():
    model = built(config_of(CASES[0]))
    with pytest.raises(UserError, match="context: a softmax layer keeps every position"):
        Stepper(model, B)
    with pytest.raises(UserError, match=r"batch = 0, context = None: must be at least 1"):
        Stepper(model, 0)
    stepper = Stepper(model, B, 4)
    with pytest.raises(UserError, match="tokens of 3 sequences: this decoder steps 2"):
        stepper.step(torch.zeros(3, dtype=torch.long))
    with pytest.raises(UserError, match="a state of 3 sequences"):
        stepper.load(model.init_state(3))
    layers = [replace(one, mixer=replace(one.mixer, position=torch.tensor([1, 2]))) for one in stepper.state().layers]
    with pytest.raises(UserError, match="a state of sequences at several positions"):
        stepper.load(DecoderState(tuple(layers)))
    with torch.no_grad():
        _, state = model(tokens(5))
    with pytest.raises(UserError, match="a context of 5 tokens: this decoder keeps 4"):
        stepper.load(state)
