"""Facts: what result.json tells of a run is what its model and config are."""

from __future__ import annotations

import platform
import re

import pytest
import torch

import isostate
from isostate.mixers import native
from isostate.model import Decoder
from isostate.train import RunConfig, environment_of, facts_of
from isostate.train.facts import CODE, _code_sha256, _cpu_name
from tests.train.conftest import MIXERS, values


@pytest.mark.parametrize("mixer", MIXERS)
def test_sizes_are_those_of_the_live_model(corpus, mixer):
    config = RunConfig.parse(values(corpus, mixer), "x")
    facts = facts_of(config)
    model = Decoder(config.model, seed=0)
    assert facts["n_params"]["total"] == sum(parameter.numel() for parameter in model.parameters())
    assert facts["n_params"]["embedding"] == model.embedding.weight.numel()
    assert facts["n_params"]["total"] == facts["n_params"]["embedding"] + facts["n_params"]["non_embedding"]
    _, state = model.token_losses(*torch.zeros(2, 1, 16, dtype=torch.long))
    assert facts["state"]["elements"] == sum(facts["state"]["parts"].values()) == state.numel
    assert facts["state"]["bytes"] == state.nbytes


def test_facts_name_the_run_and_count_its_tokens(corpus):
    config = RunConfig.parse(values(corpus, "power", seed=3), "x")
    facts = facts_of(config)
    assert facts["run_id"] == config.digest()
    assert facts["family"] == config.model.mixer.family
    assert facts["mixer"]["degree"] == 2
    assert (facts["seed"], facts["n_tokens"], facts["train_context"]) == (3, 12 * 64, 16)
    assert facts["train_flops"] > 0
    twice = RunConfig.parse(values(corpus, "power", seed=3, steps=24), "x")
    assert facts_of(twice)["train_flops"] == 2 * facts["train_flops"]


def test_the_environment_names_versions_machine_and_threads():
    environment = environment_of(2)
    assert environment["torch"] == torch.__version__
    assert environment["isostate"] == isostate.__version__
    assert environment["python"] == platform.python_version()
    assert environment["threads"] == 2
    assert environment["cpu"]
    assert re.fullmatch("[0-9a-f]{16}", environment["code"])


def test_the_environment_names_what_builds_the_kernels(monkeypatch):
    assert environment_of(1)["kernels"] == native.kernels_in_words() != "torch"
    monkeypatch.setenv("ISOSTATE_KERNELS", "torch")
    assert environment_of(1)["kernels"] == "torch"


def test_the_processor_is_named_with_and_without_linux(tmp_path):
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: A: fine one\n")
    assert _cpu_name(tmp_path / "cpuinfo") == "A: fine one"
    assert _cpu_name(tmp_path / "none") == (platform.processor() or platform.machine())


def test_the_code_is_that_which_computes_kernels_too(tmp_path):
    for folder in CODE:
        (tmp_path / folder).mkdir()
    (tmp_path / "mixers" / "scan.cpp").write_text("1")
    before = _code_sha256(tmp_path)
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "page.py").write_text("2")
    assert _code_sha256(tmp_path) == before
    (tmp_path / "mixers" / "scan.cpp").write_text("2")
    assert _code_sha256(tmp_path) != before
