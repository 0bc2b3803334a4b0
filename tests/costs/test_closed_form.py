"""isostate.costs.closed_form: coefficients give back what was counted, at points that were not used to find them."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest

from isostate.costs.closed_form import closed_form, value
from isostate.costs.decoder import of_config
from isostate.costs.preset_table import find_preset, load_presets
from isostate.costs.subject import of_preset
from isostate.costs.sublayer import Run
from isostate.model import ModelConfig

NAMES = ["gpt-2-124m", "llama-3-8b", "gemma-3-1b", "mixtral-8x7b", "deepseek-v2-lite", "mamba-2-130m", "mamba-130m",
         "rwkv-4-169m", "gopher-117m", "bert-base", "clip-b-32", "vit-b-16"]  # fmt: skip


def evaluated(program, column, phase, batch, context) -> int:
    total = sum(Fraction(part) * value(program["terms"][int(i)], phase, batch, context) for i, part in column.items())
    assert total.denominator == 1
    return int(total)


@pytest.mark.parametrize("name", NAMES)
def test_the_terms_give_the_counts_elsewhere(name):
    subject = of_preset(find_preset(name))
    program = closed_form(subject, [])
    longest = subject.fixed or subject.limit or 2**20
    for batch, context in ((1, 1), (6, 19), (17, 123), (129, 700), (4096, longest)):
        context = subject.fixed or min(context, longest)
        for pass_, phase in (("forward", "prefill"), ("decode", "decode")):
            if pass_ not in program:
                assert not subject.generates
                continue
            run = Run(batch, context, phase, weight_bits=8, activation_bits=8, state_bits=8)
            listed = subject.operators(run)
            assert [one["name"] for one in program[pass_]] == [one.name for one in listed]
            for column, one in zip(program[pass_], listed, strict=True):
                got = [evaluated(program, column[key], phase, batch, context)
                       for key in ("matmul", "other", "moved", "weights", "state")]  # fmt: skip
                cost = one.cost
                want = [cost.matmul_flops, cost.other_flops, cost.moved_bytes, one.weight_bytes, one.state_bytes]
                assert (got, column["times"]) == (want, one.times)
        train = subject.train_cost(batch, context)
        assert evaluated(program, program["train_matmul"], "prefill", batch, context) == train.matmul_flops
        if subject.generates:
            state = subject.state_size(context).elements
            assert evaluated(program, program["state"], "prefill", batch, context) == state


def test_a_bend_that_nobody_tells_of_is_found():
    subject = of_preset(find_preset("gemma-3-1b"))
    with pytest.raises(AssertionError, match="by its terms"):
        closed_form(dataclasses.replace(subject, windows=()), [])


def test_isostates_own_mixers_are_counted_for_each_context_offered():
    mixer = {"kind": "power", "n_heads": 4, "degree": 2}
    model = ModelConfig.parse({"vocab_size": 97, "n_layers": 3, "d_model": 32, "mixer": mixer}, "test")
    subject = of_config(model, "mine", "mine.toml", 64)
    contexts = [1, 7, 64, 100, 4096]
    program = closed_form(subject, contexts)
    for context in contexts:
        for batch in (1, 2, 9, 1000):
            want = subject.train_cost(batch, context).matmul_flops
            assert evaluated(program, program["train_matmul"], "prefill", batch, context) == want


@pytest.mark.slow
def test_every_preset_has_one():
    for preset in load_presets().values():
        assert closed_form(of_preset(preset), [])["forward"]
