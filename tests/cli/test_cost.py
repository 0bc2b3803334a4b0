"""isostate.cli.cost: the verb as users meet it, its mistakes too."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import pytest

from isostate.cli import main
from isostate.costs import training_memory
from isostate.model import ModelConfig

LLAMA = {"model_type": "llama", "hidden_size": 4096, "num_attention_heads": 32, "num_hidden_layers": 32,
         "intermediate_size": 11008, "vocab_size": 32000, "max_position_embeddings": 4096}  # fmt: skip
OURS = {"vocab_size": 97, "n_layers": 3, "d_model": 32, "mixer": {"kind": "power", "n_heads": 4, "degree": 2}}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llama.json").write_text(json.dumps(LLAMA))
    (tmp_path / "ours.json").write_text(json.dumps(OURS))
    return tmp_path


def answer(arguments, capsys):
    assert main(["cost", *arguments, "--json"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


def test_a_preset_and_its_config_json_cost_the_same(here, capsys):
    preset = answer(["llama-2-7b"], capsys)
    read = answer(["llama.json", "--context", "4k"], capsys)
    assert read["numbers"] == preset["numbers"]
    assert preset["numbers"]["params.total"] == 6_738_415_616
    assert preset["setting"] == {"batch": 1, "context": 4096, "dtype": "bf16", "hardware": "h100-sxm",
                                 "tokens": 20 * 6_738_415_616, "devices": 1, "utilised": 0.4,
                                 "recompute": "none"}  # fmt: skip


def test_options_reach_the_sheet(capsys):
    options = ["--batch", "8", "--context", "32k", "--dtype", "fp8", "--hardware", "H200", "--tokens", "1e12",
               "--devices", "64", "--mfu", "0.5"]  # fmt: skip
    found = answer(["llama-3-8b", *options], capsys)
    assert found["setting"] == {"batch": 8, "context": 32_768, "dtype": "fp8", "hardware": "h200-sxm",
                                "tokens": 10**12, "devices": 64, "utilised": 0.5, "recompute": "none"}  # fmt: skip
    assert found["numbers"]["state.token_bytes"] == 2 * 32 * 8 * 128


def test_a_config_of_ours_is_counted_as_it_runs(here, capsys):
    found = answer(["ours.json", "--context", "64"], capsys)
    model = ModelConfig.parse(OURS, "ours.json")
    assert found["numbers"]["params.total"] == model.param_count().total
    assert found["numbers"]["state.elements"] == model.state_size(64).elements
    assert "as the model runs here" in found["exact"]
    memory = training_memory(model, 1, 64, precision="mixed")
    assert found["numbers"]["activation_bytes"] == memory.kept.total_bytes
    assert found["numbers"]["activation_layer_bytes"] == memory.kept.layer_bytes
    assert found["numbers"]["peak_bytes"] == memory.total


def test_what_a_step_keeps_is_told_by_tensor_with_blocks_run_again_or_not(here, capsys):
    whole = answer(["ours.json", "--context", "64", "--dtype", "fp32"], capsys)
    again = answer(["ours.json", "--context", "64", "--dtype", "fp32", "--recompute", "blocks"], capsys)
    for found in (whole, again):
        kept = sum(row["times"] * row["nbytes"] for row in found["kept"])
        assert kept == found["numbers"]["activation_bytes"] < found["numbers"]["peak_bytes"]
    assert again["numbers"]["activation_bytes"] < whole["numbers"]["activation_bytes"]
    assert [row["name"] for row in again["kept"] if row["part"] == "layer"] == ["block input"]
    assert main(["cost", "ours.json", "--context", "64", "--recompute", "blocks"]) == 0
    told = capsys.readouterr().out
    assert "4.1 KB a layer, blocks run again" in told
    assert "3 x 4.1K" in told
    assert answer(["ours.json", "--dtype", "fp8"], capsys)["kept"] == []


def test_a_presets_activations_are_told_when_they_are_asked_for(capsys):
    plain, asked = answer(["gpt-1"], capsys), answer(["llama-2-7b", "--recompute", "none"], capsys)
    assert plain["kept"] == []
    rows = {row["name"]: row for row in asked["kept"]}
    assert rows["block input"] == {"part": "layer", "name": "block input", "nbytes": 4096 * 4096 * 2, "times": 32}
    assert rows["MLP gate and up"]["nbytes"] == 2 * 4096 * 11008 * 2
    assert main(["cost", "gpt-1"]) == 0
    assert "not counted: --recompute none or blocks counts them" in capsys.readouterr().out


def test_presets_are_listed(capsys):
    listed = answer(["--list"], capsys)
    assert {"name": "gpt-2-124m", "family": "GPT-2", "year": 2019, "parameters": 124_439_808, "active": 124_439_808,
            "context": 1024} in listed  # fmt: skip
    assert main(["cost", "--list"]) == 0
    told = capsys.readouterr().out
    assert all(row["name"] in told for row in listed)
    assert max(map(len, told.splitlines())) <= 80


def test_out_holds_the_page_and_the_numbers(here, capsys):
    assert main(["cost", "gpt2", "--out", "new/folder"]) == 0
    assert "wrote new/folder/sheet.html" in capsys.readouterr().out
    assert json.loads((here / "new/folder/sheet.json").read_text()) == answer(["gpt2"], capsys)
    assert "gpt-2-124m" in (here / "new/folder/sheet.html").read_text()
    assert main(["cost", "--compare", "gpt2", "ours.json", "--out", "two"]) == 0
    assert sorted(path.name for path in (here / "two").iterdir()) == [
        "sheet-gpt-2-124m.html", "sheet-gpt-2-124m.json", "sheet-ours.json.html", "sheet-ours.json.json"]  # fmt: skip


# what users get wrong: (arguments, words of the one line)
MISTAKES = {
    "no model": ([], "no MODEL given; `isostate cost --list`"),
    "unknown preset": (["llama-2-7bb"], "no preset 'llama-2-7bb' (did you mean \"llama-2-7b\"?)"),
    "unknown hardware": (["gpt2", "--hardware", "h1000"], "no hardware 'h1000' (did you mean \"h100\"?)"),
    "unknown dtype": (["gpt2", "--dtype", "bf61"], "--dtype 'bf61': unknown (did you mean \"bf16\"?)"),
    "dtype that the device lacks": (["gpt2", "--dtype", "fp4"], "h100-sxm: the hardware table has no fp4 peak"),
    "context beyond learned positions": (["gpt2", "--context", "4k"], "context = 4096: the model has 1024 learned"),
    "context of an image": (["vit-b-16", "--context", "7"], "an image of this model has 197 positions"),
    "no context": (["gpt2", "--context", "many"], "--context: 'many' is not a number"),
    "half a token": (["gpt2", "--context", "1.5"], "--context: '1.5' is not a whole number"),
    "no batch": (["gpt2", "--batch", "0"], "batch = 0: must be at least 1"),
    "no tokens": (["gpt2", "--tokens", "0"], "--tokens: 0 is not a positive finite number"),
    "unknown recomputation": (["gpt2", "--recompute", "block"], '--recompute block: unknown (did you mean "blocks"?)'),
    "memory of a model without blocks": (["mixtral-8x7b", "--recompute", "none"], "no mixture of experts"),
    "more than the peak": (["gpt2", "--mfu", "1.5"], "utilisation 1.5: a share of the peak"),
    "missing file": (["absent.json"], "no file absent.json"),
    "impossible heads": (["heads.json"], "num_attention_heads = 33: must divide hidden_size = 4096"),
    "impossible key-value heads": (["groups.json"], "num_key_value_heads = 5: must divide num_attention_heads = 32"),
    "impossible heads of ours": (["split.json"], "n_heads = 5: must divide d_model = 32"),
    "missing key": (["short.json"], "missing key 'vocab_size'; add it"),
    "unknown model type": (["type.json"], 'model_type = "lama": no such model type (did you mean "llama"?)'),
    "malformed JSON": (["torn.json"], "torn.json: not valid JSON"),
    "no table": (["list.json"], "list.json: not a table of keys"),
    "a study": (["study.toml"], "give one run of it: RUNS/STUDY/RUN/config.json"),
    "compare and a model": (["gpt2", "--compare", "gpt2", "gpt-1"], "--compare names both models"),
    "unknown sweep": (["gpt2", "--sweep", "contxt", "1..2"], '--sweep contxt: unknown (did you mean "context"?)'),
    "sweep without an end": (["gpt2", "--sweep", "context", "1k"], "'1k': expected LOW..HIGH, such as 1k..1M"),
    "sweep beyond the model": (["gpt2", "--sweep", "context", "1k..2k"], "context = 2048: the model has 1024 learned"),
    "page of half bytes": (["gpt2", "--dtype", "fp4", "--hardware", "b200", "--out", "x"], "whole bytes only"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_clear_line(name, here, capsys):
    (here / "heads.json").write_text(json.dumps({**LLAMA, "num_attention_heads": 33}))
    (here / "groups.json").write_text(json.dumps({**LLAMA, "num_key_value_heads": 5}))
    (here / "split.json").write_text(json.dumps({**OURS, "mixer": {"kind": "softmax", "n_heads": 5}}))
    (here / "short.json").write_text(json.dumps({key: value for key, value in LLAMA.items() if key != "vocab_size"}))
    (here / "type.json").write_text(json.dumps({**LLAMA, "model_type": "lama"}))
    (here / "torn.json").write_text('{"model_type": "llama", ')
    (here / "list.json").write_text("[1, 2]")
    (here / "study.toml").write_text('name = "a"\n[model]\nn_layers = 2\n[[sweep]]\nmixer = "window"\n')
    arguments, words = MISTAKES[name]
    before = {path.name for path in here.iterdir()}
    assert main(["cost", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("error: ")
    assert told.err.count("\n") == 1
    assert words in told.err
    assert {path.name for path in here.iterdir()} == before


def test_memory_that_does_not_suffice_is_an_alarm_with_numbers(capsys):
    assert main(["cost", "llama-2-7b", "--context", "1M"]) == 0
    told = capsys.readouterr().out
    assert "alarm: weights and the state of 1 x 1,048,576 tokens are 563,232,645,120 bytes" in told
    assert "h100-sxm holds 85,899,345,920" in told
    assert main(["cost", "gpt-3-175b"]) == 0
    assert "alarm: the weights alone are 349," in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["gpt2"], ["gpt2", "--out", "here"], ["--list"], ["--compare", "gpt2", "mixtral-8x7b"], ["llama.json"],
     ["llama-2-7b", "--sweep", "context", "1k..1M", "--out", "here"]],
    ids=["preset", "page", "list", "compare", "config.json", "sweep"],
)  # fmt: skip
def test_torch_is_not_imported(arguments, here):
    code = (
        "import sys; from isostate.cli import main; "
        f"print(main({['cost', *arguments]!r})); sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("0\n")


def test_ten_thousand_configurations_take_less_than_five_seconds():
    from isostate.costs.hardware_table import find_hardware
    from isostate.costs.preset_table import find_preset
    from isostate.costs.sheet import Setting
    from isostate.costs.subject import of_preset

    subject, h100 = of_preset(find_preset("llama-2-7b")), find_hardware("h100")
    began = time.process_time()
    for i in range(1_000):
        at = Setting(1 + i % 50, 64 * (1 + i // 50), "bf16", h100, 10**9)
        at.time(subject.operators(at.run("prefill")))
        at.time(subject.operators(at.run("decode")))
    assert 10 * (time.process_time() - began) < 5
