"""Multi-query associative recall mixed into text (Arora et al. 2023, arXiv:2312.04927: MQAR, there without text).

An episode, inserted between two tokens of a document: `pairs` facts, a key and its value each; then `distance` tokens
of the text; then the same keys in another order, each followed by its value, the answer:

    ... text  k3 v7 k1 v2  text of `distance` tokens  k1 v2 k3 v7  text ...

Keys and values are symbols of their own, beyond the tokenizer's tokens. A value is drawn evenly from all values, so
who remembers loses nothing on an answer and who does not loses ln(values) nats. Each token has its lag: of an answer
how many tokens ago its fact began, of any other token 0. So an answer whose fact lies before a window is known as such.

All draws are a function of the seed and the document's name. Philox's raw words are the same in every numpy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Self

import numpy as np
from pydantic import Field, model_validator

from isostate.config import Config


class RecallConfig(Config):
    """[data.recall]. `share` of all tokens are symbols: half of them facts, half questions and answers."""

    pairs: int = Field(8, ge=1)  # facts of an episode
    distance: int = Field(64, ge=0)  # tokens of text between facts and questions
    share: float = Field(0.25, gt=0, lt=1)
    keys: int = Field(64, ge=1, le=4096)  # different symbols
    values: int = Field(64, ge=2, le=4096)
    seed: int = Field(0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _an_episode_is_possible(self) -> Self:
        if self.pairs > self.keys:
            raise ValueError(f"pairs = {self.pairs}: an episode has as many different keys, and keys = {self.keys}")
        if self.spacing < 0 or self.spacing + self.distance == 0:
            most = 4 * self.pairs / (4 * self.pairs + self.distance)
            held = f"{self.pairs} pairs at a distance of {self.distance}"
            raise ValueError(f"share = {self.share}: {held} are at most {most:.3g} of the tokens; lower one of them")
        return self

    @property
    def symbols(self) -> int:
        return self.keys + self.values

    @property
    def spacing(self) -> int:
        """Tokens of text between one episode and the next, on average."""
        return round(4 * self.pairs / self.share) - 4 * self.pairs - self.distance

    @property
    def label(self) -> str:
        return f"recall of {self.pairs} at {self.distance}, {100 * self.share:g} %"


def mix_recall(config: RecallConfig, name: str, tokens: np.ndarray, first_symbol: int) -> tuple[np.ndarray, np.ndarray]:
    """A document's tokens with episodes between them, and the lag of each; both (n,), int64. Keys are the symbols from
    `first_symbol` on, values those after them."""
    draws = _Draws(config.seed, name)
    parts: list[np.ndarray] = []
    lags: list[np.ndarray] = []

    def add(tokens_n: np.ndarray, lags_n: np.ndarray | None = None) -> None:
        parts.append(tokens_n)
        lags.append(np.zeros(len(tokens_n), dtype=np.int64) if lags_n is None else lags_n)

    at = 0
    while True:
        before = draws.below(2 * config.spacing + 1)
        if at + before + config.distance > len(tokens):
            add(tokens[at:].astype(np.int64))
            return np.concatenate(parts), np.concatenate(lags)
        add(tokens[at : at + before].astype(np.int64))
        at += before
        facts, questions, lags_of_questions = _episode(config, draws, first_symbol)
        add(facts)
        add(tokens[at : at + config.distance].astype(np.int64))
        at += config.distance
        add(questions, lags_of_questions)


def _episode(config: RecallConfig, draws: _Draws, first_symbol: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Facts (2 pairs,), questions with answers (2 pairs,), and the lags of the latter."""
    n_pairs = config.pairs
    keys = np.array(draws.distinct(config.keys, n_pairs)) + first_symbol
    values = np.array([draws.below(config.values) for _ in range(n_pairs)]) + first_symbol + config.keys
    order = np.array(draws.distinct(n_pairs, n_pairs))
    facts = np.stack([keys, values], axis=1).reshape(-1)
    questions = np.stack([keys[order], values[order]], axis=1).reshape(-1)
    lags = np.zeros(2 * n_pairs, dtype=np.int64)
    answer_at = 2 * n_pairs + config.distance + 2 * np.arange(n_pairs) + 1  # from the first fact on
    lags[1::2] = answer_at - 2 * order
    return facts, questions, lags


class _Draws:
    """Whole numbers from Philox's raw words. The remainder's bias is below 2^-50 here."""

    def __init__(self, seed: int, name: str):
        key = hashlib.sha256(f"{seed}\0{name}".encode(errors="surrogateescape")).digest()
        self._philox = np.random.Philox(key=np.frombuffer(key[:16], dtype="<u8"))
        self._words = self._stream()

    def _stream(self) -> Iterator[int]:
        while True:
            yield from self._philox.random_raw(1024).tolist()

    def below(self, end: int) -> int:
        return next(self._words) % end

    def distinct(self, end: int, count: int) -> list[int]:
        """`count` different numbers below `end`, every order of them as likely (Fisher and Yates)."""
        pool = list(range(end))
        for i in range(count):
            j = i + self.below(end - i)
            pool[i], pool[j] = pool[j], pool[i]
        return pool[:count]
