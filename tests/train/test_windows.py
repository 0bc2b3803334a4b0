"""What a window says of documents: boundary tokens begin them, and are no targets; in training and evaluation."""

from __future__ import annotations

import math
import random

import pytest
import torch

from isostate.data import resolve
from isostate.records import RunDirectory
from isostate.train import RunConfig
from isostate.train.windows import given
from tests.train.conftest import values

TOKENS = torch.tensor([[0, 5, 6, 0, 7], [8, 9, 1, 2, 0], [3, 4, 0, 0, 1]])


def test_without_masks_rows_are_taken_whole():
    part = given(TOKENS, document_mask=False)
    assert torch.equal(part.inputs_BT, TOKENS[:, :-1])
    assert torch.equal(part.targets_BT, TOKENS[:, 1:])
    assert part.documents is None
    assert part.n_targets == 12


def test_with_masks_a_boundary_begins_a_document_and_is_no_target():
    part = given(TOKENS, document_mask=True)
    assert torch.equal(part.inputs_BT, TOKENS[:, :-1])
    assert part.targets_BT.tolist() == [[5, 6, -1, 7], [9, 1, 2, -1], [4, -1, -1, 1]]
    assert part.documents is not None
    assert part.documents.starts_BT.int().tolist() == [[1, 0, 0, 1], [0, 0, 0, 0], [0, 0, 1, 1]]
    assert part.n_targets == 8


def test_windows_of_one_document_need_no_masks():
    assert given(TOKENS[1:2, :4], document_mask=True).documents is None


@pytest.fixture
def short_documents(tmp_path):
    """Lines of 2 to 30 letters, many to a window."""
    draw, folder = random.Random(1), tmp_path / "lines"
    folder.mkdir()
    lines = ["".join(draw.choice("abcdefgh ") for _ in range(draw.randint(2, 30))) for _ in range(120)]
    for number, line in enumerate(lines):
        (folder / f"{number:03}.txt").write_text(line + "x", encoding="utf-8")
    return folder


def masked_run(tmp_path, corpus, document_mask=True, **train) -> RunDirectory:
    given = values(corpus, steps=4, **train)
    given["data"] |= {"documents": "stream", "document_mask": document_mask}
    config = RunConfig.parse(given, "test")
    config = config.model_copy(update={"data": resolve(config.data)})
    return RunDirectory(tmp_path / "masked" / config.digest()).create(config.to_dict())


def test_document_masks_train_and_evaluate_by_document(short_documents, tmp_path, train):
    rows = {}
    for mask in (True, False):
        run = masked_run(tmp_path, short_documents, mask)
        assert train(run)[0] == "done"
        assert run.config()["data"].get("document_mask", False) == mask
        rows[mask] = run.metrics()
    assert all(math.isfinite(row["loss_nats"]) for row in rows[True])
    assert rows[True][0]["loss_nats"] != rows[False][0]["loss_nats"]
    n_tokens = [next(row["n_tokens"] for row in rows[mask] if row["kind"] == "eval") for mask in (True, False)]
    assert 0.8 * n_tokens[1] < n_tokens[0] < n_tokens[1], "the first token of a document is predicted by none"


def test_with_document_masks_accumulation_still_is_the_large_batch(short_documents, tmp_path, train):
    """Micro-batches have different numbers of targets; each counts by them."""
    losses = {}
    for accumulate in (1, 4):
        run = masked_run(tmp_path, short_documents, accumulate=accumulate)
        train(run)
        losses[accumulate] = [row["loss_nats"] for row in run.metrics()]
    assert losses[4] == pytest.approx(losses[1], rel=1e-4)
