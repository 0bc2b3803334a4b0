"""isostate.costs.subject: what a model says of itself."""

from __future__ import annotations

from isostate.costs.formula import count_params, forward_cost_of, total_cost
from isostate.costs.preset_table import find_preset
from isostate.costs.subject import of_architecture, of_preset
from isostate.costs.sublayer import Run
from tests.costs.torch_free import imports_without_torch


def test_a_preset_knows_where_its_counts_bend():
    assert of_preset(find_preset("gemma-3-1b")).windows == (512,)
    assert of_preset(find_preset("mamba-2-130m")).chunks == (256,)
    assert of_preset(find_preset("mixtral-8x7b")).experts == ((8, 2),)
    assert of_preset(find_preset("llama-2-7b")).windows == ()


def test_an_image_model_generates_nothing_and_has_one_length():
    subject = of_preset(find_preset("vit-b-16"))
    assert not subject.generates
    assert subject.ratio is None
    assert subject.fixed == subject.context == 197


def test_its_counts_are_those_of_the_formula():
    architecture = find_preset("gpt-2-124m").architecture
    subject = of_architecture(architecture, "mine", "a file", "mine.json")
    run = Run(3, 100)
    assert subject.params == count_params(architecture)
    assert subject.context == subject.limit == 1024
    assert total_cost(subject.operators(run)) == forward_cost_of(architecture, run)
    assert subject.state_size(10).state_bytes == subject.state_size(10).elements == 10 * 2 * 12 * 768


def test_published_counts_that_differ_say_why():
    claims = of_preset(find_preset("gpt-2-124m")).published
    assert {one["value"]: one["verdict"] for one in claims} == {
        "124,439,808": "met",
        "124M": "met",
        "117M": "differs",
    }
    assert all((one["verdict"] == "met") == (not one["why"]) for one in claims)


def test_it_waits_for_no_torch():
    assert imports_without_torch("subject")
