"""Evaluation: segments are no seam, sums are exact, buckets cover the context, stops are heard."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from isostate.model import Decoder, ModelConfig
from isostate.train.evaluate import InterruptedEvaluationError, bucket_edges, evaluate
from tests.train.conftest import MIXERS

TOKEN_BYTES = np.array([1, *[2] * 31])


@pytest.fixture(params=list(MIXERS))
def model(request) -> Decoder:
    mixer = {"n_heads": 2, "head_dim": 8, **MIXERS[request.param]}
    values = {"vocab_size": 32, "n_layers": 2, "d_model": 16, "conv_taps": 3, "mixer": mixer}
    return Decoder(ModelConfig.parse(values, "test"), seed=0).double()


@pytest.fixture
def windows() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 32, (5, 41))


def test_losses_are_those_of_the_model_in_one_piece(model, windows):
    tokens_BT = torch.from_numpy(windows)
    losses_BT, _ = model.token_losses(tokens_BT[:, :-1], tokens_BT[:, 1:])
    evaluation = evaluate(model, windows, 40, TOKEN_BYTES)
    assert evaluation.loss_nats == pytest.approx(losses_BT.mean().item(), rel=1e-12)
    n_bytes = TOKEN_BYTES[windows[:, 1:]].sum()
    assert evaluation.bits_per_byte == pytest.approx(losses_BT.sum().item() / math.log(2) / n_bytes, rel=1e-12)
    assert evaluation.n_tokens == 200
    assert evaluation.edges == [0, 1, 2, 4, 8, 16, 32, 40]
    want = [losses_BT[:, a:b].mean().item() for a, b in pairwise(evaluation.edges)]
    assert evaluation.loss_nats_by_position == pytest.approx(want, rel=1e-12)


@pytest.mark.parametrize("segment", [1, 7, 16, 40, 64])
def test_the_state_carries_over_segments_as_if_there_were_none(model, windows, segment):
    whole, cut = evaluate(model, windows, 40, TOKEN_BYTES), evaluate(model, windows, segment, TOKEN_BYTES)
    assert cut.loss_nats_by_position == pytest.approx(whole.loss_nats_by_position, rel=1e-9)
    fresh = np.concatenate(
        [windows[:, n : n + 9] for n in range(0, 40, 8)]
    )  # without the state it would be another loss
    assert abs(evaluate(model, fresh, 8, TOKEN_BYTES).loss_nats - whole.loss_nats) > 1e-6


def test_how_many_windows_go_at_once_does_not_matter(model, windows):
    whole = evaluate(model, windows, 16, TOKEN_BYTES)
    assert evaluate(model, windows, 16, TOKEN_BYTES, tokens_at_once=32).loss_nats == pytest.approx(
        whole.loss_nats, rel=1e-12
    )


def test_evaluating_leaves_the_model_and_its_gradients_alone(model, windows):
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    evaluate(model, windows, 16, TOKEN_BYTES)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    tokens_BT = torch.from_numpy(windows)
    model.loss(tokens_BT[:, :-1], tokens_BT[:, 1:])[0].backward()  # nothing cached above forbids training


def test_a_stop_is_heard_between_segments(model, windows):
    asked = iter([False, False, True])
    with pytest.raises(InterruptedEvaluationError):
        evaluate(model, windows, 8, TOKEN_BYTES, lambda: next(asked))


def test_a_loss_that_is_not_finite_is_null_in_the_row(model, windows):
    with torch.no_grad():
        model.embedding.weight.fill_(math.nan)
    evaluation = evaluate(model, windows, 16, TOKEN_BYTES)
    assert math.isnan(evaluation.loss_nats)
    assert evaluation.row() == {"loss_nats": None, "bits_per_byte": None, "n_tokens": 200}
    assert set(evaluation.to_dict()["by_position"]["loss_nats"]) == {None}


@pytest.mark.parametrize("context", [1, 2, 3, 8, 100, 256, 2**23])
def test_buckets_cover_the_context_in_powers_of_two(context):
    edges = bucket_edges(context)
    assert (edges[0], edges[-1]) == (0, context)
    assert all(a < b for a, b in pairwise(edges))
    assert all(math.log2(edge).is_integer() for edge in edges[1:-1])
    assert len(edges) - 1 <= 24


@pytest.mark.parametrize("segment", [1, 7, 40])
def test_with_document_masks_every_document_is_read_and_counted_by_itself(model, segment):
    windows = np.random.default_rng(1).integers(1, 32, (3, 41))
    windows[0, [0, 9, 10, 33]] = windows[1, [20]] = windows[2, [40]] = 0
    got = evaluate(model, windows, segment, TOKEN_BYTES, document_mask=True)
    total_nats, n_tokens, n_bytes, first = 0.0, 0, 0, []
    for row in windows:
        for start, stop in pairwise(sorted({0, *np.flatnonzero(row == 0).tolist(), 41})):
            document_BT = torch.from_numpy(row[None, start:stop])
            if stop - start > 1:
                losses_BT, _ = model.token_losses(document_BT[:, :-1], document_BT[:, 1:])
                total_nats += losses_BT.sum().item()
                n_tokens += stop - start - 1
                n_bytes += TOKEN_BYTES[row[start + 1 : stop]].sum()
                first += [losses_BT[0, 0].item()] * (start == 0)
    assert got.n_tokens == n_tokens == 3 * 40 - 5
    assert got.loss_nats == pytest.approx(total_nats / n_tokens, rel=1e-9)
    assert got.bits_per_byte == pytest.approx(total_nats / math.log(2) / n_bytes, rel=1e-9)
    assert got.loss_nats_by_position[0] == pytest.approx(np.mean(first), rel=1e-9)
    assert abs(evaluate(model, windows, segment, TOKEN_BYTES).loss_nats - got.loss_nats) > 1e-4


def test_where_nothing_is_to_be_predicted_no_number_is_made_up(model):
    evaluation = evaluate(model, np.zeros((2, 3), dtype=np.int64), 2, TOKEN_BYTES, document_mask=True)
    assert evaluation.row() == {"loss_nats": None, "bits_per_byte": None, "n_tokens": 0}
