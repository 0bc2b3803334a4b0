"""What is mixed in reaches the shards, the vocabulary and the evaluation's parts; without it nothing changes."""

from __future__ import annotations

import numpy as np
import pytest

from isostate.config import UserError
from isostate.data import DataConfig, RecallConfig, eval_parts, eval_windows, prepare, resolve
from isostate.data.mixing import mix
from isostate.data.preparation import _recipe
from isostate.data.textfiles import Source
from tests.study import tiny

RECALL = RecallConfig(pairs=3, distance=10, share=0.3, keys=8, values=5)


@pytest.fixture
def config(tmp_path):
    """config(**changes) -> a DataConfig over four documents of random words, in bytes."""
    text = tiny.corpus(tmp_path / "text")
    return lambda **changes: DataConfig(corpus=str(text), context=64, holdout=0.25, **changes)


def test_fillers_stand_after_every_token_and_stretch_the_lags():
    tokens = np.arange(600) % 256
    plain, lags = mix("a", tokens, 256, RECALL, 0)
    spread, spread_lags = mix("a", tokens, 256, RECALL, 2)
    assert np.array_equal(spread[::3], plain)
    assert set(spread[1::3]) == set(spread[2::3]) == {256 + RECALL.symbols}
    assert np.array_equal(spread_lags[::3], 3 * lags)
    assert not spread_lags[1::3].any()
    for at in np.flatnonzero(spread_lags):
        assert spread[at - spread_lags[at] + 3] == spread[at]
    untouched, none = mix("a", tokens, 256, None, 0)
    assert np.array_equal(untouched, tokens)
    assert not none.any()


def test_a_corpus_by_itself_has_the_fingerprint_it_always_had(config):
    plain = config()
    recipe = _recipe(plain, Source("0" * 64, lambda: iter(())))
    assert recipe.keys() == {"format", "corpus", "tokenizer", "trainer", "holdout"}
    prints = {
        resolve(one).fingerprint for one in (plain, config(recall=RECALL), config(dilution=1), config(dilution=2))
    }
    assert len(prints) == 4


def test_the_shards_hold_symbols_and_the_evaluation_knows_its_answers(config, tmp_path):
    data = config(recall=RECALL, dilution=1)
    shards = prepare(data, tmp_path / "cache")
    assert shards.vocab_size == data.vocab_size == 256 + 13 + 1
    assert len(shards.token_bytes) == 270
    which = (shards, 64, 40, "whole")
    windows, parts = eval_windows(*which), eval_parts(*which)
    assert parts.keys() == {"text", "answers"}
    assert all(mask.shape == (40, 64) for mask in parts.values())
    inputs, targets = windows[:, :-1], windows[:, 1:]
    assert np.array_equal(parts["text"], targets < 256)
    assert np.all((targets[parts["answers"]] >= 256 + 8) & (targets[parts["answers"]] < 256 + 13))
    rows, columns = np.nonzero(parts["answers"])
    found = set()
    for row, column in zip(rows, columns, strict=True):  # by reading alone: the key stood in this window before
        key, before = inputs[row, column - 1], inputs[row, : column - 1]
        (places,) = np.nonzero(before == key)
        assert windows[row, places[-1] + 2] == targets[row, column]
        found.add((row, column))
    for row, column in np.argwhere((targets >= 256 + 8) & (targets < 256 + 13)):  # and where it did not, it is none
        key = inputs[row, column - 1] if column else None
        if key is None or key not in inputs[row, : max(column - 1, 0)]:
            assert (row, column) not in found
    assert len(found) > 30


def test_dilution_alone_has_text_and_no_answers_and_a_plain_corpus_no_parts(config, tmp_path):
    diluted = prepare(config(dilution=3), tmp_path / "cache")
    parts = eval_parts(diluted, 64, 10, "whole")
    assert parts.keys() == {"text"}
    assert parts["text"].mean() == pytest.approx(0.25, abs=0.01)
    assert diluted.lags is None
    assert eval_parts(prepare(config(), tmp_path / "cache"), 64, 10, "whole") == {}


def test_too_many_tokens_are_refused():
    recall = {"keys": 4096, "values": 4096}
    with pytest.raises(UserError, match="symbols of recall among them: at most 65536 fit"):
        DataConfig.parse({"context": 8, "tokenizer": "bpe-60000", "recall": recall}, "study.toml")


def test_the_text_is_named_by_what_is_in_it(config):
    assert DataConfig(context=8).text == "bard"
    assert DataConfig(context=8, recall=RECALL).text == "bard + recall of 3 at 10, 30 %"
    assert DataConfig(context=8, dilution=3).text == "bard, 3 fillers"
