"""isostate.costs.sheet: numbers against hand counts and published ones, alarms against the memory they name."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys

import pytest

from isostate.config import UserError
from isostate.costs.hardware_table import find_hardware
from isostate.costs.inference import Step
from isostate.costs.preset_table import find_preset, load_presets
from isostate.costs.roofline import stated_efficiency
from isostate.costs.sheet import Setting, alarms, critical_batch, longest_context, numbers, shares, sheet
from isostate.costs.subject import of_preset
from tests.costs.torch_free import imports_without_torch

H100 = find_hardware("h100-80-sxm")


def setting(**changes) -> Setting:
    values = {"batch": 1, "context": 1024, "dtype": "bf16", "hardware": H100, "tokens": 10**9}
    return Setting(**{**values, **changes})


def test_gpt_2s_numbers_are_those_counted_by_hand():
    subject, n_tokens, width, n_layers = of_preset(find_preset("gpt-2-124m")), 1024, 768, 12
    found = numbers(subject, setting())
    weights = 12 * n_layers * width**2 + 50_257 * width
    scores = 4 * n_layers * n_tokens**2 * width
    assert found["params.total"] == 124_439_808
    assert found["params.non_embedding"] == 124_439_808 - (50_257 + 1024) * 768
    assert found["forward.matmul_flops"] == 2 * n_tokens * weights + scores
    assert found["training.matmul_flops"] == 3 * found["forward.matmul_flops"]
    assert found["decode.token_flops"] == 2 * weights + 4 * n_layers * n_tokens * width
    assert found["state.token_bytes"] == 2 * 2 * n_layers * width  # keys and values of 2 bytes, no queries (ERRATA 26)
    assert found["state.token_bytes"] != 3 * 2 * n_layers * width
    assert found["state.sequence_bytes"] == n_tokens * found["state.token_bytes"]
    assert found["weights_bytes"] == 2 * 124_439_808
    assert found["training_bytes"] == 18 * 124_439_808  # FORMULAS section 2, mixed precision
    assert found["training.total_flops"] == found["training.matmul_flops"] * 10**9 // 1024
    assert found["ratio.value"] == pytest.approx(weights / (2 * n_layers * n_tokens * width))


@pytest.mark.parametrize("dtype, each", [("fp64", 32), ("fp32", 16), ("tf32", 16), ("bf16", 18), ("fp8", 17)])
def test_bytes_a_parameter_in_training_follow_the_type(dtype, each):
    found = numbers(of_preset(find_preset("gpt-2-124m")), setting(dtype=dtype))
    assert found["training_bytes"] == each * 124_439_808


def test_training_time_and_dollars_are_of_the_model_flops_at_the_stated_share():
    found = numbers(of_preset(find_preset("llama-2-7b")), setting(context=4096, tokens=2 * 10**12, devices=1000))
    six_nd = 6 * 6_738_415_616 * 2e12
    assert six_nd < found["training.total_flops"] < 1.25 * six_nd  # the attention on top, no table of embeddings
    assert found["training.seconds"] == pytest.approx(found["training.total_flops"] / (1000 * 989.4e12 * 0.4), rel=1e-3)
    hours = 1000 * found["training.seconds"] / 3600
    low, high = H100.price()
    assert (found["training.dollars_low"], found["training.dollars_high"]) == pytest.approx((low * hours, high * hours))


def test_decoding_is_as_fast_as_memory_lets_it():
    subject = of_preset(find_preset("llama-2-7b"))
    found = numbers(subject, setting(context=4096))
    read = found["decode.weight_bytes"] + found["decode.state_bytes"]
    bandwidth = H100.known("bandwidth_bytes_per_s") * stated_efficiency(H100).memory
    assert found["decode.bound"] == "memory"
    assert read / bandwidth < found["decode.seconds"] < 1.01 * read / bandwidth
    assert found["decode.tokens_per_s"] == pytest.approx(1 / found["decode.seconds"])
    assert found["decode.largest_batch"] == (H100.known("memory_bytes") - found["weights_bytes"]) // (2**19 * 4096)


def test_the_batch_that_turns_decode_compute_bound_is_where_the_two_lines_cross():
    subject, at = of_preset(find_preset("llama-3-8b")), setting(context=16)
    one, two = (at.time(subject.operators(at.run("decode", batch))).operators for batch in (1, 2))
    first, second = ([sum(part.compute_s for part in some), sum(part.memory_s for part in some)] for some in (one, two))
    each_compute, each_memory = second[0] - first[0], second[1] - first[1]
    bounded = critical_batch(subject, at)
    assert bounded == math.ceil((first[1] - each_memory) / (each_compute - each_memory))
    step = Step.of(subject.operators(at.run("decode")), 1)
    least = step.critical_batch(H100, "bf16", stated_efficiency(H100))  # without activations
    assert least < bounded < 1.4 * least
    assert critical_batch(subject, setting(context=8192)) is None  # reading the state takes longer than using it


def test_shares_sum_to_the_passes():
    for name in ("gemma-3-1b", "mixtral-8x7b", "clip-b-32"):
        subject = of_preset(find_preset(name))
        at = setting(context=subject.context, batch=4)
        found, rows = numbers(subject, at), shares(subject.operators(at.run("prefill")))
        for key in ("matmul_flops", "other_flops", "moved_bytes"):
            assert sum(row[key] for row in rows) == found[f"forward.{key}"]
        assert len({row["name"] for row in rows}) == len(rows)


def test_alarms_have_the_numbers():
    large = of_preset(find_preset("gpt-3-175b"))
    at = setting(context=2048)
    (said,) = alarms(large, at, numbers(large, at))
    assert "the weights alone are 349," in said
    assert "at least 5 of them" in said
    small = of_preset(find_preset("llama-2-7b"))
    at = setting(context=2**20)
    memory, beyond = alarms(small, at, numbers(small, at))
    assert "h100-sxm holds 85,899,345,920" in memory
    assert "0 sequences fit" in memory
    assert beyond == "a context of 1,048,576 is beyond the 4,096 tokens that the model was made for"
    left = 85_899_345_920 - 2 * 6_738_415_616
    fits = longest_context(small, at, left)
    assert f"at this batch {fits:,} tokens" in memory
    assert fits == left // 2**19
    assert alarms(small, setting(context=4096), numbers(small, setting(context=4096))) == []


def test_every_preset_has_a_sheet_that_tells_its_published_counts():
    for preset in load_presets().values():
        found = sheet(of_preset(preset), setting(context=preset.context))
        assert len(found["published"]) == len(preset.published)
        assert all(one["verdict"] == "met" or one["why"] for one in found["published"])
        assert sum(found["parts"].values()) == found["numbers"]["params.total"]
        assert ("decode.seconds" in found["numbers"]) == preset.architecture.generates


def test_what_cannot_be_is_refused():
    with pytest.raises(UserError, match="batch = 0: must be at least 1"):
        setting(batch=0)
    with pytest.raises(UserError, match="1024 learned positions"):
        numbers(of_preset(find_preset("gpt-2-124m")), setting(context=1025))
    with pytest.raises(UserError, match="no fp4 peak"):
        numbers(of_preset(find_preset("gpt-2-124m")), setting(dtype="fp4"))
    bare = dataclasses.replace(setting(), hardware=H100.model_copy(update={"dollars_per_hour": None, "power_w": None}))
    found = numbers(of_preset(find_preset("gpt-2-124m")), bare)
    assert found["training.dollars_low"] is None
    assert found["training.kwh"] is None


def test_the_sheet_waits_for_no_torch():
    assert imports_without_torch("sheet")


@pytest.mark.slow
def test_the_package_gives_what_it_gathers_when_it_is_asked_for():
    code = (
        "import sys, isostate.costs as costs; assert 'torch' not in sys.modules; "
        "assert all(callable(getattr(costs, name)) for name in costs.__all__); assert 'torch' in sys.modules; "
        "assert not hasattr(costs, 'train_flop')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
