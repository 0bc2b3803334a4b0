"""`isostate import`: a Hugging Face folder becomes one of ours, and goes out again as it came."""

from __future__ import annotations

import json

import pytest

from isostate.cli import main
from isostate.export import load_model, save_huggingface
from isostate.model import Decoder, ModelConfig

MAMBA = {"vocab_size": 11, "n_layers": 1, "d_model": 16, "mlp": "none", "norm_eps": 1e-5, "mixer": {"kind": "mamba"}}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_huggingface(Decoder(ModelConfig.parse(MAMBA, "m")), tmp_path / "hf")
    return tmp_path


def test_in_and_out_again_gives_the_same_bytes(here, capsys):
    assert main(["import", "hf", "ours", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model_type"] == "isostate"
    assert load_model(here / "ours").config.mixer.kind == "mamba"
    assert main(["export", "ours", "again"]) == 0
    for name in ("config.json", "model.safetensors"):
        assert (here / "again" / name).read_bytes() == (here / "hf" / name).read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model_type": "mambo"}, 'model_type = "mambo" (did you mean "mamba"?): Isostate loads gpt2'),
        ({"model_type": None}, "model_type = null"),
        ({"hidden_size": 32}, "where config.json asks for"),
        ({"num_hidden_layers": 2}, "no tensor 'backbone.layers.1.norm.weight'"),
        ({"use_conv_bias": False}, "has no use for the tensor 'backbone.layers.0.mixer.conv1d.bias'"),
        ({"hidden_act": "gelu"}, "hidden_act = gelu: Isostate has only hidden_act = silu"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(change, words, here, capsys):
    path = here / "hf" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert main(["import", "hf", "ours"]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1
    assert not (here / "ours").exists()
