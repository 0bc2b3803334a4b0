"""Windows: pure functions of their arguments, each within its document, every place of it at every position alike."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from isostate.config import UserError
from isostate.data import DataConfig, batch, check_context, eval_windows, prepare
from isostate.data.batches import windows
from isostate.data.shards import Split


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Documents of 3 to 60 letters, each in a letter of its own; lower case of the document's parity."""
    root = tmp_path_factory.mktemp("letters")
    (root / "texts").mkdir()
    for index in range(26):
        (root / "texts" / f"{index:02}.txt").write_text(chr(ord("a") + index) * (3 + 57 * index // 25))
    config = DataConfig(corpus=str(root / "texts"), context=8, holdout=0.3)
    return prepare(config, root / "cache")


def split_of(*lengths: int) -> Split:
    """A split whose token is its own place, so that a window tells where it came from."""
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return Split("train", np.arange(offsets[-1]).astype(np.uint16), offsets)


def test_the_same_arguments_give_the_same_bits_and_others_others(shards):
    first = batch(shards, "train", 8, 16, 1, 5, "whole")
    assert first.shape == (16, 9)
    assert first.dtype == np.int64
    batch(shards, "train", 8, 16, 1, 99, "whole")  # what was asked in between leaves no trace
    assert np.array_equal(first, batch(shards, "train", 8, 16, 1, 5, "whole"))
    for seed, step in [(1, 6), (2, 5), (5, 1)]:
        assert not np.array_equal(first, batch(shards, "train", 8, 16, seed, step, "whole"))


def test_another_process_makes_the_same_batch_from_the_step_alone(shards):
    program = (
        "import sys; from pathlib import Path; from isostate.data import batch, open_shards; "
        "print(batch(open_shards(Path(sys.argv[1])), 'train', 8, 4, 3, 7, 'stream').tolist())"
    )
    command = [sys.executable, "-c", program, str(shards.directory)]
    other = subprocess.run(command, capture_output=True, text=True, check=True)
    assert other.stdout.strip() == str(batch(shards, "train", 8, 4, 3, 7, "stream").tolist())


def test_the_draw_of_a_step_is_pinned(shards):
    """What a run sees must not change with a release of numpy or of ours: Philox's words for key (1, 5)."""
    words = [0xCC81C300FD854C40, 0xAC250E1C88015001, 0xBAEDF44A3E15902D]
    split = shards.split("train")
    expected = windows(split, 8, "stream", np.array([word % len(split.tokens) for word in words]))
    assert np.array_equal(batch(shards, "train", 8, 3, 1, 5, "stream"), expected)


def test_a_larger_batch_begins_with_the_smaller_one(shards):
    small, large = (batch(shards, "train", 8, size, 1, 5, "whole") for size in (4, 16))
    assert np.array_equal(small, large[:4])


@pytest.mark.parametrize("split", ["train", "heldout"])
def test_a_window_stays_within_one_document_that_is_long_enough(shards, split):
    tokens = batch(shards, split, 20, 500, 1, 0, "whole")
    for row in tokens:
        assert len(set(row.tolist()) - {0}) == 1
    letters = {chr(token) for token in np.unique(tokens) if token}
    side = shards.split(split)
    long_enough = np.diff(side.offsets) >= 20
    assert letters == {chr(side.tokens[start + 1]) for start in side.offsets[:-1][long_enough]}
    assert not long_enough.all()


def test_no_training_window_holds_held_out_text(shards):
    for documents in ("whole", "stream"):
        seen = np.unique([batch(shards, "train", 4, 64, 1, step, documents) for step in range(50)])
        evaluated = np.unique(eval_windows(shards, 4, 1_000, documents))
        assert set(seen.tolist()) & set(evaluated.tolist()) <= {0}
    assert len(seen) > 15
    assert len(evaluated) > 3


@pytest.mark.parametrize("documents", ["whole", "stream"])
def test_every_place_in_a_document_is_equally_likely_at_every_position_in_the_context(documents):
    split = split_of(5, 12, 9, 7)  # the first and last are too short for `whole`
    usable = np.arange(5, 26) if documents == "whole" else np.arange(33)
    tokens = windows(split, 8, documents, np.arange(len(usable)))  # every place a window can begin at, once
    for position in range(9):
        assert np.array_equal(np.sort(tokens[:, position]), usable)


def test_windows_begin_uniformly_so_documents_are_chosen_by_length(shards):
    tokens = np.concatenate([batch(shards, "train", 1, 1_000, 3, step, "stream")[:, 0] for step in range(40)])
    counts = np.bincount(tokens, minlength=256)
    expected = (
        np.bincount(shards.split("train").tokens, minlength=256) * len(tokens) / len(shards.split("train").tokens)
    )
    seen = expected > 0
    chi_square = ((counts - expected)[seen] ** 2 / expected[seen]).sum()
    assert not counts[~seen].any()
    assert chi_square < 2 * seen.sum()  # its mean is the number of letters, its deviation the root of twice that


def test_a_window_past_the_end_goes_on_at_the_beginning_of_its_document():
    split = split_of(4, 10)
    assert windows(split, 6, "whole", np.array([7])).tolist() == [[11, 12, 13, 4, 5, 6, 7]]
    assert windows(split, 6, "stream", np.array([11])).tolist() == [[11, 12, 13, 0, 1, 2, 3]]
    assert windows(split, 10, "whole", np.array([0])).tolist() == [[*range(4, 14), 4]]  # as long as the document


def test_evaluation_windows_are_fixed_and_spread_over_all_held_out_documents(shards):
    first = eval_windows(shards, 4, 50, "whole")
    assert first.shape == (50, 5)
    assert np.array_equal(first, eval_windows(shards, 4, 50, "whole"))
    side = shards.split("heldout")
    long_enough = np.diff(side.offsets) >= 4
    assert set(np.unique(first)) - {0} == {side.tokens[start + 1] for start in side.offsets[:-1][long_enough]}


def test_a_context_that_no_document_has_is_refused_with_the_longest(shards):
    longest = {name: int(np.diff(shards.split(name).offsets).max()) for name in ("train", "heldout")}
    for split, length in longest.items():
        assert check_context(shards, split, length, "whole") == length
        with pytest.raises(UserError, match=rf"the {split} split .* {length} tokens; .* \"stream\""):
            check_context(shards, split, length + 1, "whole")
        assert check_context(shards, split, length + 1, "stream") == len(shards.split(split).tokens)
        with pytest.raises(UserError, match="all of it has") as error:
            check_context(shards, split, 10_000, "stream")
        assert "stream" not in str(error.value).split(";")[1]
    for call in (
        lambda: batch(shards, "train", 5_000, 1, 0, 0, "whole"),
        lambda: eval_windows(shards, 5_000, 1, "whole"),
    ):
        with pytest.raises(UserError, match="context 5000"):
            call()
