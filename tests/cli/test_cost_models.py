"""isostate.cli.cost_models: what a name or a file stands for."""

from __future__ import annotations

import json

import pytest

from isostate.cli.cost_models import ALIASES, list_presets, subject_named
from isostate.config import UserError
from isostate.costs.preset_table import find_preset, load_presets
from tests.study import tiny


@pytest.mark.parametrize("name", ALIASES)
def test_hugging_faces_names_are_presets(name):
    assert subject_named(name).params == subject_named(find_preset(ALIASES[name]).name).params


def test_case_and_blanks_do_not_matter():
    assert subject_named("LLaMA 2_7B").name == "llama-2-7b"


def test_a_folder_stands_for_its_config(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "gpt2", "n_embd": 768, "n_layer": 12, "n_head": 12, '
                                          '"vocab_size": 50257, "n_positions": 1024}')  # fmt: skip
    subject = subject_named(str(tmp_path))
    assert subject.params.total == 124_439_808
    assert subject.context == 1024


def test_an_architecture_is_read_as_we_write_it(tmp_path):
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(find_preset("palm-8b").architecture.to_dict()))
    assert subject_named(str(path)).params == subject_named("palm-8b").params


def test_a_run_brings_its_context(tmp_path):
    model = {"vocab_size": 97, "n_layers": 1, "d_model": 16, "mixer": {"kind": "linear", "n_heads": 2}}
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"model": model, "data": {"context": 24}, "train": {"steps": 1}}))
    assert subject_named(str(path)).context == 24
    (tmp_path / "m.toml").write_text('vocab_size = 97\nn_layers = 1\nd_model = 16\nmixer = { kind = "linear" }\n')
    assert subject_named(str(tmp_path / "m.toml")).context == 2048


def test_a_finished_run_has_a_sheet(finished):
    (path, *_) = sorted(finished.glob("runs/*/*/config.json"))
    assert subject_named(str(path)).context == tiny.values("text")["data"]["context"]


def test_a_study_is_not_one_model(tmp_path):
    path = tmp_path / "study.toml"
    path.write_text('[model]\nn_layers = 1\n[[sweep]]\nmixer = "linear"\n')
    with pytest.raises(UserError, match="give one run of it"):
        subject_named(str(path))
    path.write_text("n_layers = 1\n")
    with pytest.raises(UserError, match="see `isostate cost --help`"):
        subject_named(str(path))


def test_the_list_has_every_preset():
    assert [row["name"] for row in list_presets()] == list(load_presets())
    mixtral = next(row for row in list_presets() if row["name"] == "mixtral-8x7b")
    assert (mixtral["parameters"], mixtral["active"]) == (46_702_792_704, 12_879_925_248)
