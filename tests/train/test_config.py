"""What decides a run: impossible settings are told in one line that names the way out; equal configs are one run."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from isostate.config import UserError
from isostate.train import OPTIMIZERS, SCHEDULES, RunConfig, TrainConfig
from tests.train.conftest import values


def changed(corpus, path: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(values(corpus))
    *parents, last = path.split(".")
    table = config
    for parent in parents:
        table = table[parent]
    table[last] = value
    return config


REFUSED = [
    ("train.lr", float("nan"), "train.lr"),
    ("train.lr", 0, "greater than 0"),
    ("train.lr", 11, "less than or equal to 10"),
    ("train.steps", 0, "train.steps"),
    ("train.warmup_steps", 13, "warmup_steps = 13: more than steps = 12; lower it"),
    ("train.betas", [0.9, 1.0], r"betas = \[0.9, 1.0\]: each must be at least 0 and less than 1"),
    ("train.weight_decay", 100, "times lr = 0.01 must stay below 1"),
    ("train.optimizer", "adamv", r"'adamv' is none of adamw \(did you mean \"adamw\"\?\)"),
    ("train.schedule", "cosin", r"'cosin' is none of cosine, wsd, constant \(did you mean \"cosine\"\?\)"),
    ("train.batch_tokens", 60, r"train.batch_tokens = 60: cannot hold windows .* take 48 or 64"),
    ("train.batch_tokens", 8, r"train.batch_tokens = 8: .* take 16 or 32"),
    ("train.accumulate", 3, r"in train.accumulate = 3 equal parts; take 48 or 96"),
    ("train.stesp", 12, 'did you mean "steps"'),
    ("train.threads", 0, "train.threads"),
    ("eval.contexts", [], "eval.contexts"),
    ("eval.contexts", [16, 16], "must be different"),
    ("eval.contexts", [0], "whole numbers of at least 1"),
    ("eval.n_tokens", 39, "n_tokens = 39: no window of 40 tokens fits"),
    ("eval.final_tokens", 39, "final_tokens = 39: no window of 40 tokens fits"),
    ("seed", -1, "seed"),
    ("train.recompute", "block", "input should be 'none' or 'blocks'"),
]


@pytest.mark.parametrize("path, value, message", REFUSED, ids=lambda part: str(part)[:30])
def test_what_cannot_be_is_refused_in_one_line(corpus, path, value, message):
    with pytest.raises(UserError, match=message) as raised:
        RunConfig.parse(changed(corpus, path, value), "study.toml")
    assert "\n" not in str(raised.value)


def test_a_held_out_context_beyond_the_learned_positions_is_refused_before_training(corpus):
    config = values(corpus)
    config["model"] |= {"position_embedding": "learned", "max_context": 39}
    with pytest.raises(UserError, match="a context of 40 tokens: the learned positions end at max_context = 39; raise"):
        RunConfig.parse(config, "study.toml")
    config["model"]["max_context"] = 40
    RunConfig.parse(config, "study.toml")


def test_batches_that_are_advised_are_taken(corpus):
    for tokens in (48, 64, 16):
        assert RunConfig.parse(changed(corpus, "train.batch_tokens", tokens), "x").batch_size == tokens // 16


def test_every_optimizer_and_schedule_can_be_named():
    for optimizer in OPTIMIZERS:
        for schedule in SCHEDULES:
            TrainConfig(steps=30, batch_tokens=64, lr=1e-3, optimizer=optimizer, schedule=schedule)


def test_a_config_comes_back_from_its_json_with_the_same_digest(corpus):
    config = RunConfig.parse(values(corpus), "x")
    again = RunConfig.model_validate_json(config.canonical_json())
    assert again == config
    assert again.digest() == config.digest()


@pytest.mark.parametrize("path, value", [("train.threads", 2), ("seed", 1), ("train.lr", 2e-2), ("eval.every", 5)])
def test_whatever_decides_the_result_changes_the_digest(corpus, path, value):
    config, other = (RunConfig.parse(v, "x") for v in (values(corpus), changed(corpus, path, value)))
    assert config.digest() != other.digest()
