"""A small corpus and small runs on it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from isostate.data import resolve
from isostate.records import RunDirectory
from isostate.train import RunConfig, train_run

WORDS = ("the", "of", "and", "a", "to", "in", "he", "have", "it", "that", "for", "with", "as", "not", "on", "you")

MIXERS = {
    "softmax": {"kind": "softmax", "positions": "rotary"},
    "power": {"kind": "power", "degree": 2, "positions": "alibi", "qk_norm": "rms"},
}


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four documents of random words, each longer than any context here."""
    folder = tmp_path_factory.mktemp("corpus")
    words = random.Random(0)
    for name in "abcd":
        text = " ".join(words.choice(WORDS) for _ in range(1500))
        (folder / f"{name}.txt").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shards of all tests are."""
    return tmp_path_factory.mktemp("shards")


def values(
    corpus: Path, mixer: str = "softmax", seed: int = 0, model: dict[str, Any] | None = None, **train: Any
) -> dict[str, Any]:
    """The values of a RunConfig of 12 updates, `model` over its model's, `train` over its training ones."""
    return {
        "data": {"corpus": str(corpus), "context": 16, "holdout": 0.25},
        "model": {
            "vocab_size": 256,
            "n_layers": 2,
            "d_model": 16,
            "conv_taps": 3,
            "mixer": {"n_heads": 2, "head_dim": 8, **MIXERS[mixer]},
            **(model or {}),
        },
        "train": {"steps": 12, "batch_tokens": 64, "lr": 1e-2, "warmup_steps": 2, "log_every": 3, **train},
        "eval": {"contexts": [16, 40], "every": 4, "n_tokens": 80, "final_tokens": 160},
        "seed": seed,
    }


@pytest.fixture
def make_run(tmp_path: Path, corpus: Path) -> Callable[..., RunDirectory]:
    """make_run("study", mixer=…, model=…, **train) -> the directory of a run that has not begun."""

    def make(
        study: str = "study", mixer: str = "softmax", seed: int = 0, model: dict[str, Any] | None = None, **train: Any
    ) -> RunDirectory:
        config = RunConfig.parse(values(corpus, mixer, seed, model, **{"checkpoint_every": 5, **train}), "test")
        config = config.model_copy(update={"data": resolve(config.data)})
        return RunDirectory(tmp_path / study / config.digest()).create(config.to_dict())

    return make


@pytest.fixture
def train(cache: Path) -> Callable[..., tuple[str, list[dict[str, Any]]]]:
    """train(run, stop_after=…) -> (outcome, events); told to stop after that many of the loop's questions."""

    def run_it(run: RunDirectory, stop_after: float = float("inf")) -> tuple[str, list[dict[str, Any]]]:
        events: list[dict[str, Any]] = []
        asked = [0]

        def should_stop() -> bool:
            asked[0] += 1
            return asked[0] > stop_after

        return train_run(run.path, cache, events.append, should_stop), events

    return run_it


@pytest.fixture
def whole(
    make_run: Callable[..., RunDirectory], train: Callable[..., tuple[str, list[dict[str, Any]]]]
) -> tuple[RunDirectory, dict[str, bytes]]:
    """A run left alone, and its bytes."""
    run = make_run("whole")
    assert train(run)[0] == "done"
    return run, lasting_bytes(run)


def lasting_bytes(run: RunDirectory) -> dict[str, bytes]:
    """Every file of a run that must not depend on when or how often it was cut, by name."""
    names = ["config.json", "facts.json", "metrics.jsonl", "result.json"]
    newest = max((run.path / "checkpoints").glob("step-*"))
    files = [run.path / name for name in names] + sorted(newest.iterdir())
    return {str(path.relative_to(run.path)): path.read_bytes() for path in files}
