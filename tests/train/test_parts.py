"""A run on a text with recall: what it scores on answers stands by itself in its result."""

from __future__ import annotations

import math

from isostate.data import resolve
from isostate.records import RunDirectory
from isostate.train import RunConfig, train_run
from tests.train.conftest import values


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
