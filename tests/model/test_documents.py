"""A decoder of packed documents is that of separate ones: losses, gradients, positions, the state."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from isostate.config import UserError
from isostate.mixers import FORMS, Documents
from isostate.model import Decoder
from tests.mixers.cases import CASES, name_of
from tests.model.options import OPTIONS, STACKS, T, config_of, tokens
from tests.tolerances import assert_agrees, relative_error

PLACES = ([0, 20, 21], [7, 40])  # where documents begin
BOTH = {name: OPTIONS[name] for name in ("everything", "everything, parallel")}
MIXERS = [*CASES, *STACKS.values()]


def build(mixer, **changes) -> Decoder:
    layers = {"n_layers": len(mixer["layers"])} if isinstance(mixer, dict) else {}
    return Decoder(config_of(mixer, **changes | layers)).double()


def documents(lengths: list[int] | None = None) -> Documents:
    starts_BT = torch.zeros(2, T, dtype=torch.bool)
    for row, places in enumerate(PLACES):
        starts_BT[row, places] = True
    return Documents(starts_BT, None if lengths is None else torch.tensor(lengths))


def separate_losses(model: Decoder, lengths: list[int]) -> torch.Tensor:
    """losses_BT of each document by itself, but for its last token, which predicts nothing; zero elsewhere."""
    losses_BT, targets_BT = torch.zeros(2, T, dtype=torch.float64), tokens(seed=1)
    for row, length in enumerate(lengths):
        for start, stop in pairwise(sorted({0, *(place for place in PLACES[row] if place < length), length})):
            piece = (slice(row, row + 1), slice(start, stop))
            losses_BT[piece], _ = model.token_losses(tokens()[piece], targets_BT[piece])
            losses_BT[row, stop - 1] *= stop == length  # of a row's last position its target alone can tell
    return losses_BT


@pytest.mark.parametrize("mixer", MIXERS, ids=lambda m: "-".join(m["layers"]) if isinstance(m, dict) else name_of(m))
def test_losses_are_those_of_separate_documents(mixer):
    for name, changes in BOTH.items():
        model = build(mixer, **changes).eval()
        for lengths in ([T, T], [T, 30]):
            want_BT = separate_losses(model, lengths)
            got_BT, _ = model.token_losses(tokens(), tokens(seed=1), documents=documents(lengths))
            assert_agrees(got_BT, want_BT, f"{name}, {lengths}")
        plain_BT, _ = model.token_losses(tokens(), tokens(seed=1))
        assert relative_error(plain_BT * (want_BT != 0), want_BT) > 1e-3, "without masks it is another model"


@pytest.mark.parametrize("changes", BOTH.values(), ids=BOTH)
def test_training_losses_are_means_over_targets_and_recomputing_changes_no_bit(changes):
    model = build(STACKS["four"], **changes | {"dropout": 0.0})
    packed, targets_BT = documents(), tokens(seed=1)
    targets_BT[1, -1] = -1
    losses_BT, _ = model.token_losses(tokens(), targets_BT, documents=packed)
    kept_BT = losses_BT != 0
    assert kept_BT.sum() == 2 * T - 4 - 1
    for block in model.blocks:  # dropped weights would make another loss
        block.mixer.eval()
    gradients = []
    for recompute in ("none", "blocks"):
        model.zero_grad()
        loss = model.train_loss(tokens(), targets_BT, recompute=recompute, documents=packed)
        assert_agrees(loss.detach(), losses_BT[kept_BT].mean())
        loss.backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))
    assert_agrees(model.loss(tokens(), targets_BT, documents=packed)[0].detach(), losses_BT[kept_BT].mean())


def test_where_nothing_is_to_be_predicted_the_loss_and_its_gradient_are_zero():
    model = Decoder(config_of(CASES[0]))
    every = Documents(torch.ones(2, T, dtype=torch.bool))
    loss = model.train_loss(tokens(), torch.full_like(tokens(), -1), documents=every)
    loss.backward()
    assert loss == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


@pytest.mark.parametrize("mixer", STACKS.values(), ids=STACKS)
def test_ragged_prompts_are_continued_as_each_would_be_alone(mixer):
    lengths = torch.tensor([9, 30])
    for form in FORMS:
        for changes in BOTH.values():
            model = build(mixer, **changes).eval()
            with torch.no_grad():
                _, state = model.features(tokens(30), form=form, documents=Documents.ragged(lengths, 30))
                assert state.position.tolist() == [9, 30]
                assert state.numel == sum(model.config.state_size(length).elements for length in (9, 30))
                for step in range(4):
                    logits_BTU, state = model(tokens(4, seed=2)[:, step : step + 1], state, form)
                for row, length in enumerate(lengths.tolist()):
                    alone = torch.cat([tokens(30)[row, :length], tokens(4, seed=2)[row]])
                    want_BTU, _ = model(alone[None])
                    assert_agrees(logits_BTU[row, -1], want_BTU[0, -1], f"{form}, row {row}")


def test_learned_positions_end_where_the_longest_document_does():
    model = Decoder(config_of(CASES[0], position_embedding="learned", max_context=20))
    place_T = torch.arange(40)
    with pytest.raises(UserError, match="a context of 40 tokens: the learned positions end at max_context = 20"):
        model.features(tokens(40))
    model.features(tokens(40), documents=Documents((place_T % 20 == 0).expand(2, -1)))
    model.features(tokens(40), documents=Documents.ragged(torch.tensor([20, 3]), 40))
    with pytest.raises(UserError, match="a context of 21 tokens"):
        model.features(tokens(40), documents=Documents((place_T % 21 == 0).expand(2, -1)))
