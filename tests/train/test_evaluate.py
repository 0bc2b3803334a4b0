"""Evaluation: segments are no seam, sums are exact, buckets cover the context, stops are heard."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from isostate.data import resolve
from isostate.model import Decoder, ModelConfig
from isostate.records import RunDirectory
from isostate.train import RunConfig, train_run
from isostate.train.evaluate import InterruptedEvaluationError, bucket_edges, evaluate
from tests.train.conftest import MIXERS, values

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


class Reader:
    """Stands for a model whose losses are known: `on_answers` on what the mask marks, 1 nat elsewhere."""

    def __init__(self, windows: np.ndarray, answers: np.ndarray, on_answers: float):
        losses = np.where(answers, on_answers, 1.0)
        self.losses = {tuple(window): torch.from_numpy(row) for window, row in zip(windows, losses, strict=True)}
        self.windows = windows

    def token_losses(self, inputs_BT, targets_BT, state, documents=None):
        start = 0 if state is None else state
        end = start + inputs_BT.shape[1]
        rows = [
            losses[start:end]
            for inputs in inputs_BT.tolist()
            for window, losses in self.losses.items()
            if list(window[start:end]) == inputs
        ]
        return torch.stack(rows), end


@pytest.mark.parametrize("on_answers", [0.0, math.log(64)], ids=["a perfect recaller", "an even guesser"])
def test_answers_are_counted_by_themselves_whatever_the_segments(on_answers):
    rng = np.random.default_rng(0)
    windows = np.arange(5)[:, None] + rng.integers(0, 6, (5, 41)) * 5
    answers, text = rng.random((5, 40)) < 0.1, rng.random((5, 40)) < 0.5
    reader = Reader(windows, answers, on_answers)
    for segment, at_once in ((40, 8192), (16, 32)):
        found = evaluate(
            reader, windows, segment, TOKEN_BYTES, tokens_at_once=at_once, parts={"answers": answers, "text": text}
        )
        assert found.parts["answers"].loss_nats == pytest.approx(on_answers, abs=1e-12)
        assert found.parts["answers"].n_tokens == answers.sum() > 10
        assert found.parts["text"].n_tokens == text.sum()
        share = answers.mean()
        assert found.loss_nats == pytest.approx(share * on_answers + 1 - share)
        told = found.to_dict()["parts"]["answers"]
        assert told == {"loss_nats": found.parts["answers"].loss_nats, "n_tokens": int(answers.sum())}
    assert "parts" not in evaluate(reader, windows, 40, TOKEN_BYTES).to_dict()


def test_answers_and_text_are_told_apart_and_an_untrained_model_guesses(tmp_path, corpus, cache):
    recall = {"pairs": 2, "distance": 4, "share": 0.4, "keys": 4, "values": 3}
    config = values(corpus, steps=1, warmup_steps=0, lr=1e-6, log_every=1, checkpoint_every=1)
    config["data"] |= {"recall": recall}
    config["model"] |= {"vocab_size": 256 + 7}
    parsed = RunConfig.parse(config, "test")
    parsed = parsed.model_copy(update={"data": resolve(parsed.data)})
    run = RunDirectory(tmp_path / "study" / parsed.digest()).create(parsed.to_dict())
    assert train_run(run.path, cache, lambda event: None, lambda: False) == "done"
    result = run.result()
    assert result["corpus"].endswith("recall of 2 at 4, 40 %")
    for final in result["final"].values():
        parts = final["parts"]
        assert parts.keys() == {"text", "answers"}
        assert 0 < parts["answers"]["n_tokens"] < 0.1 * final["n_tokens"] < parts["text"]["n_tokens"]
        assert abs(parts["answers"]["loss_nats"] - math.log(263)) < 1.5
    assert "parts" not in run.metrics()[-1]
