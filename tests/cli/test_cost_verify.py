"""isostate.cli.cost_verify: predicted beside counted, a verdict, an exit code, for whatever can be built."""

from __future__ import annotations

import json

import pytest

from isostate.cli import main
from isostate.costs import verify as harness
from isostate.costs.verify import Row

OURS = {"vocab_size": 97, "n_layers": 2, "d_model": 32, "mixer": {"kind": "window", "n_heads": 4, "window": 8},
        "dropout": 0.1}  # fmt: skip
LLAMA = {"model_type": "llama", "hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2,
         "num_hidden_layers": 2, "intermediate_size": 64, "vocab_size": 97, "tie_word_embeddings": False}  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ours.json").write_text(json.dumps(OURS))
    (tmp_path / "llama.json").write_text(json.dumps(LLAMA))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ours.json", "llama.json"])
def test_a_config_that_computes_is_verified_throughout(name, here, capsys):
    assert main(["cost", name, "--verify", "--batch", "2", "--context", "24"]) == 0
    told = capsys.readouterr().out
    assert f"{name} · batch 2 · context 24 · built and run on this CPU" in told
    assert told.splitlines()[-1] == "verified: 16 of 16 counts equal, 2 of 2 peaks of memory within 3 %"
    row = next(line for line in told.splitlines() if line.startswith("matmul FLOPs, forward"))
    assert row.split()[-1] == "equal"


@pytest.mark.slow
def test_a_preset_that_is_too_large_runs_on_fake_tensors(capsys):
    assert main(["cost", "gpt2", "--verify", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["context"], found["computed"]) == (1024, False)
    rows = {row["quantity"]: row for row in found["rows"]}
    assert rows["parameters"]["counted"] == rows["parameters"]["predicted"] == 124_439_808
    # 12 blocks of 4 B S D (S + 6 D), and the head: FORMULAS section 2
    assert rows["matmul FLOPs, forward"]["counted"] == 12 * 4 * 1024 * 768 * (1024 + 6 * 768) + 2 * 1024 * 768 * 50257
    assert rows["peak of training memory"]["counted"] is None
    assert found["verdict"] == "verified: 16 of 16 counts equal, 2 rows not run"


@pytest.mark.slow
def test_what_is_left_out_comes_with_how_to_run_it(here, capsys, monkeypatch):
    monkeypatch.setattr(harness, "MOST_FLOPS", 3 * 10**7)
    assert main(["cost", "ours.json", "--verify", "--context", "256"]) == 0
    told = capsys.readouterr().out
    assert "built and run on fake tensors" in told
    assert "for the peak of memory, --context 128\n" in told
    assert told.splitlines()[-1] == "verified: 16 of 16 counts equal, 2 rows not run"


def test_a_difference_is_named_and_is_exit_code_one(here, capsys, monkeypatch):
    rows = [Row("parameters", "parameters", 5, 5), Row("state", "bytes", 7, 8), Row("peak", "bytes", 96, 100, 0.03)]
    monkeypatch.setattr(harness, "verify", lambda *asked: rows)
    assert main(["cost", "ours.json", "--verify"]) == 1
    told = capsys.readouterr().out.splitlines()
    assert told[-3:] == [
        "NOT verified: 1 of 2 counts equal, 0 of 1 peaks of memory within 3 %",
        "differs: state: 7 predicted, 8 counted",
        "differs: peak: 96 predicted, 100 counted",
    ]
    assert main(["cost", "ours.json", "--verify", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["verdict"].startswith("NOT verified")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["mixtral-8x7b"], "Isostate cannot build this model yet, only count it: no mixture of experts"),
        (["gpt2", "--context", "4k"], "max_context"),
        (["ours.json", "--context", "8M"], "verifying stops at 512; give --batch 1 --context 5534720 or less"),
        (["ours.json", "--batch", "0"], "batch = 0: must be at least 1"),
        (["gpt2", "--sweep", "context", "1..2"], "--sweep and --verify are 2 questions: ask one at a time"),
        ([], "no MODEL given"),
    ],
)
def test_a_mistake_is_one_clear_line(arguments, words, here, capsys):
    assert main(["cost", *arguments, "--verify"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert words in told.err
