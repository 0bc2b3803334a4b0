"""`isostate export`: from a folder of ours; a mixer that Hugging Face has not is sent to the other format."""

from __future__ import annotations

import json

import pytest

from isostate.cli import main
from isostate.export import load_huggingface, save_model
from isostate.model import Decoder, ModelConfig

SIZES = {"vocab_size": 11, "n_layers": 1, "d_model": 16}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    llama = ModelConfig.parse(SIZES | {"mixer": {"kind": "softmax", "positions": "rotary"}}, "m")
    save_model(Decoder(llama), tmp_path / "llama", context=64)
    save_model(Decoder(ModelConfig.parse(SIZES | {"mixer": {"kind": "linear"}}, "m")), tmp_path / "linear")
    return tmp_path


def test_a_llama_is_written_as_one(here, capsys):
    assert main(["export", "llama", "out/hf", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["model_type"], answer["files"]) == ("llama", ["config.json", "model.safetensors"])
    assert answer["n_params"] == sum(p.numel() for p in load_huggingface(here / "out" / "hf").parameters())
    assert json.loads((here / "out" / "hf" / "config.json").read_text())["max_position_embeddings"] == 64


def test_a_mixer_of_ours_goes_as_ours(here, capsys):
    assert main(["export", "linear", "out"]) == 2
    assert "export with --format isostate" in capsys.readouterr().err
    assert main(["export", "linear", "out", "--format", "isostate"]) == 0
    assert capsys.readouterr().out.startswith("out: isostate, ")
    assert main(["cost", "out/config.json", "--json"]) == 0  # a config like any other of ours


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere", "out"], "no folder nowhere"),
        (["llama", "linear"], "linear is there already"),
        (["llama", "out", "--format", "gguf"], "'gguf' is not one of"),
    ],
)
def test_mistakes_are_one_line(arguments, words, here, capsys):
    assert main(["export", *arguments]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
