"""Recall: episodes are what they say, whoever remembers answers all of them, and the text between them is whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from isostate.config import UserError
from isostate.data.recall import RecallConfig, mix_recall

TEXT = np.arange(20_000) % 1000
FIRST = 1000  # the first key
CONFIG = RecallConfig(pairs=6, distance=40, share=0.25, keys=16, values=8)


@pytest.fixture
def mixed():
    """(tokens, lags) of TEXT with episodes."""
    return mix_recall(CONFIG, "a.txt", TEXT, FIRST)


def is_key(token) -> bool:
    return FIRST <= token < FIRST + CONFIG.keys


def is_value(token) -> bool:
    return FIRST + CONFIG.keys <= token < FIRST + CONFIG.symbols


def test_the_text_between_is_whole_and_in_order(mixed):
    tokens, lags = mixed
    assert np.array_equal(tokens[tokens < FIRST], TEXT)
    assert len(tokens) == len(lags)
    assert tokens.max() < FIRST + CONFIG.symbols


@pytest.mark.parametrize("share", [0.05, 0.25, 0.37])
def test_the_share_of_symbols_is_the_share(share):
    config = CONFIG.model_copy(update={"share": share})
    tokens, lags = mix_recall(config, "a.txt", np.zeros(200_000, dtype=np.int64), FIRST)
    assert np.mean(tokens >= FIRST) == pytest.approx(share, rel=0.05)
    assert np.mean(lags > 0) == pytest.approx(share / 4, rel=0.05)


def test_a_reader_who_remembers_each_keys_last_value_answers_all(mixed):
    """Written without the lags: it reads tokens alone."""
    tokens, lags = mixed
    memory: dict[int, int] = {}
    right = []
    for before, token, lag in zip(tokens, tokens[1:], lags[1:], strict=False):
        if is_key(before):
            assert is_value(token)
            if lag:
                right.append(memory[before] == token)
            memory[before] = token
    assert all(right)
    assert len(right) == np.count_nonzero(lags) > 500


def test_a_reader_who_forgets_after_fewer_tokens_than_the_distance_answers_none(mixed):
    tokens, lags = mixed
    for at in np.flatnonzero(lags):
        assert tokens[at - 1] not in tokens[at - CONFIG.distance : at - 1]
    assert lags[lags > 0].min() > CONFIG.distance
    assert lags[lags > 0].max() <= CONFIG.distance + 4 * CONFIG.pairs - 1


def test_a_lag_leads_to_the_fact(mixed):
    tokens, lags = mixed
    for at in np.flatnonzero(lags):
        fact = at - lags[at]
        assert (tokens[fact], tokens[fact + 1]) == (tokens[at - 1], tokens[at])
        assert lags[fact + 1] == 0


def test_every_value_is_as_likely_whatever_the_key(mixed):
    """So a guesser loses ln(values): 8 values, about 400 facts each; chi-square at 7 degrees of freedom below 24.3."""
    tokens, lags = mix_recall(CONFIG, "b.txt", np.zeros(100_000, dtype=np.int64), FIRST)
    answers = tokens[lags > 0] - FIRST - CONFIG.keys
    counts = np.bincount(answers, minlength=8)
    expected = len(answers) / 8
    assert ((counts - expected) ** 2 / expected).sum() < 24.3
    keys = tokens[np.flatnonzero(lags) - 1] - FIRST
    assert set(keys) == set(range(16))


def test_questions_come_in_another_order_than_facts(mixed):
    _, lags = mixed
    questions = np.flatnonzero(lags).reshape(-1, CONFIG.pairs)
    same = [np.all(np.diff(row - lags[row]) > 0) for row in questions]
    assert np.mean(same) < 0.05  # by chance 1 of 720


def test_keys_of_an_episode_differ(mixed):
    tokens, lags = mixed
    for row in np.flatnonzero(lags).reshape(-1, CONFIG.pairs):
        assert len(set(tokens[row - 1])) == CONFIG.pairs


def test_the_seed_and_the_documents_name_decide():
    once, again = (mix_recall(CONFIG, "a.txt", TEXT, FIRST)[0] for _ in range(2))
    assert np.array_equal(once, again)
    others = (("b.txt", CONFIG), ("a.txt", CONFIG.model_copy(update={"seed": 1})))
    tokens = [once, *(mix_recall(config, name, TEXT, FIRST)[0] for name, config in others)]
    for one, other in itertools.combinations(tokens, 2):
        assert not np.array_equal(one[:5000], other[:5000])


def test_the_first_tokens_are_these_for_ever():
    """A change here is a change of the corpus: it needs another name."""
    config = RecallConfig(pairs=2, distance=1, share=0.6, keys=4, values=4)
    tokens, lags = mix_recall(config, "d", np.zeros(8, dtype=np.int64), 10)
    text = [0] * 5
    first, second = [13, 14, 12, 16, 0, 13, 14, 12, 16], [10, 17, 11, 17, 0, 10, 17, 11, 17]
    assert tokens.tolist() == [*text, *first, 0, *second][: len(tokens)]
    assert {at: int(lags[at]) for at in np.flatnonzero(lags)} == {11: 6, 13: 6, 21: 6, 23: 6}


def test_a_text_without_room_stays_as_it_is():
    tokens, lags = mix_recall(CONFIG, "a.txt", TEXT[:30], FIRST)
    assert np.array_equal(tokens, TEXT[:30])
    assert not lags.any()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"pairs": 65}, "pairs = 65: .* keys = 64"),
        ({"pairs": 8, "distance": 64, "share": 0.5}, r"share = 0\.5: 8 pairs at a distance of 64 are at most 0\.333"),
        ({"distance": 0, "share": 0.999}, "at most 1 of the tokens"),
        ({"share": 0}, "share"),
        ({"values": 1}, "values"),
        ({"pair": 4}, 'did you mean "pairs"'),
    ],
)
def test_what_cannot_be_is_refused(values, words):
    with pytest.raises(UserError, match=words):
        RecallConfig.parse(values, "study.toml")
