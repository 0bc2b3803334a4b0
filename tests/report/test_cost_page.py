"""isostate.report.cost_page: its text, and in a browser its numbers, equal to Python's wherever the sliders stand."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re

import pytest

from isostate.cli.cost_models import subject_named
from isostate.cli.cost_page_data import page_data
from isostate.costs.decoder import of_config
from isostate.costs.hardware_table import find_hardware
from isostate.costs.preset_table import find_preset
from isostate.costs.sheet import Setting, numbers, shares, sheet
from isostate.costs.subject import Subject, of_preset
from isostate.model import ModelConfig
from isostate.report.cost_page import render_cost
from tests.report import browser

PRESETS = ["gpt-2-124m", "llama-2-7b", "gemma-3-1b", "mixtral-8x7b", "deepseek-v2-lite", "mamba-2-130m", "rwkv-4-169m",
           "clip-b-32", "vit-b-16"]  # fmt: skip
OURS = [{"kind": "power", "n_heads": 4, "degree": 2}, {"kind": "window", "n_heads": 4, "window": 100}]

# What the page shows: its numbers by name as they were computed, and its operators.
READ = """() => [
    Object.fromEntries([...document.querySelectorAll('[data-number]')].map(
        cell => [cell.dataset.number, [cell.dataset.value, cell.textContent]])),
    [...document.querySelectorAll('[data-phase]')].map(
        cell => [cell.dataset.phase, cell.dataset.operator, cell.dataset.kind, cell.dataset.value]),
    document.getElementById('alarms').textContent,
]"""
SET = """([key, index]) => {
    const input = document.getElementById('set-' + key);
    input.value = index;
    input.dispatchEvent(new Event('input'));
}"""


def subject_of(case) -> Subject:
    if case == "gpt-2-124m":  # as `--recompute` asks for it
        return subject_named(case, with_memory=True)
    if isinstance(case, str):
        return of_preset(find_preset(case))
    model = ModelConfig.parse({"vocab_size": 97, "n_layers": 3, "d_model": 32, "mixer": case}, "test")
    return of_config(model, "ours", "ours.toml", 300)


def data_of(subject: Subject, **changes):
    values = {"batch": 1, "context": subject.context, "dtype": "bf16", "hardware": find_hardware("h100"),
              "tokens": 10**10}  # fmt: skip
    at = Setting(**{**values, **changes})
    return at, page_data(subject, at, sheet(subject, at))


def test_only_the_pages_own_script_may_run_and_nothing_is_loaded():
    page = render_cost(data_of(subject_of("llama-2-7b"))[1])
    assert len(re.findall(r"'sha256-[^']+'", page)) == 1
    assert "default-src 'none'" in page
    own = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert not re.search(r"(src|href|url|@import|srcset)\s*[=(]", own)


def test_the_page_says_what_is_exact_and_what_was_published():
    page = render_cost(data_of(subject_of("gpt-2-124m"))[1])
    assert "Exact: parameters, matmul FLOPs and state" in page
    assert "Estimated: the peak of a step in 16 bits; other FLOPs" in page
    assert "Published 124,439,808 (number of parameters of the released weights): met." in page
    assert "Published 117M (Radford et al. 2019, table 2): differs, because the README" in page


def test_the_page_lists_what_a_step_keeps():
    page = render_cost(data_of(subject_of("gpt-2-124m"))[1])
    assert "At batch 1, context 1,024, bf16, everything kept; tensor by tensor." in page
    assert "<td>12 layers of 6,291,456</td><td>75,497,472</td>" in page  # of 4 D
    assert "Kept for the backward" not in render_cost(data_of(subject_of("llama-2-7b"))[1])


def test_hostile_names_stay_text():
    _, data = data_of(dataclasses.replace(subject_of("gpt-2-124m"), name="</script><img src=x onerror=alert(1)>"))
    page = render_cost(data)
    assert "<img" not in page
    assert page.count("</script>") == 2


def matches(shown: str, want) -> bool:
    """Integers to the last digit, seconds and dollars to twelve: sums of floats differ in their last bits."""
    if want is None:
        return shown == ""
    if isinstance(want, (int, str)):
        return shown == str(want)
    return float(shown) == pytest.approx(want, rel=1e-12)


@pytest.mark.browser
@pytest.mark.parametrize("case", [*PRESETS, *OURS], ids=lambda case: case if isinstance(case, str) else case["kind"])
def test_wherever_the_sliders_stand_the_page_shows_pythons_numbers(case, started, tmp_path):
    subject = subject_of(case)
    at, data = data_of(subject)
    path = tmp_path / "sheet.html"
    path.write_text(render_cost(data))
    controls = {one["key"]: one["values"] for one in data["controls"]}
    contexts, batches = controls["context"], controls["batch"]
    places = itertools.chain(
        [(batch, context, "bf16", "h100-sxm") for batch in (batches[0], batches[3], batches[-1])
         for context in (contexts[0], contexts[len(contexts) // 2], contexts[-1])],
        zip(batches, itertools.cycle(contexts[::-1]), itertools.cycle(controls["dtype"]),
            itertools.cycle(controls["hardware"][::7]), strict=False),
    )  # fmt: skip
    seen = 0
    with browser.opened(started, path, **browser.DESKTOP) as opened:
        for batch, context, dtype, hardware in places:
            tokens, devices = controls["tokens"][seen % len(controls["tokens"])], controls["devices"][seen % 8]
            device = find_hardware(hardware)
            if not device.peak_flops_per_s.get(dtype):
                continue
            here = Setting(batch, context, dtype, device, tokens, devices, at.utilised)
            told = {"batch": batch, "context": context, "dtype": dtype, "hardware": hardware, "tokens": tokens,
                    "devices": devices}  # fmt: skip
            if subject.memory:
                told["recompute"] = controls["recompute"][seen % 2]
                here = dataclasses.replace(here, recompute=told["recompute"])
            for key, chosen in told.items():
                opened.page.evaluate(SET, [key, controls[key].index(chosen)])
            shown, operators, _ = opened.page.evaluate(READ)
            want = numbers(subject, here)
            wrong = {key: (value, want.get(key)) for key, (value, _) in shown.items()
                     if not matches(value, want.get(key))}  # fmt: skip
            assert wrong == {}, f"at {told}"
            for phase, run in (("forward", "prefill"), ("decode", "decode")):
                rows = {row["name"]: row for row in shares(subject.operators(here.run(run)))} if (
                    phase in data["sheet"]["operators"]) else {}  # fmt: skip
                for shown_phase, name, kind, value in operators:
                    if shown_phase == phase:
                        row = rows[name]
                        amount = row["moved_bytes"] if kind == "bytes" else row["matmul_flops"] + row["other_flops"]
                        assert value == str(amount)
            seen += 1
    assert seen >= 12


@pytest.mark.browser
def test_the_page_shows_words_units_and_alarms(started, tmp_path):
    _, data = data_of(subject_of("llama-2-7b"))
    path = tmp_path / "sheet.html"
    path.write_text(render_cost(data))
    controls = {one["key"]: one["values"] for one in data["controls"]}
    with browser.opened(started, path, **browser.DESKTOP) as opened:
        shown, _, alarms = opened.page.evaluate(READ)
        texts = {key: text for key, (_, text) in shown.items()}
        assert texts["params.total"] == "6,738,415,616"
        assert texts["weights_bytes"] == "13.5 GB"
        assert texts["decode.bound"] == "memory-bound"
        assert texts["decode.critical_batch"] == "at no batch"
        assert re.fullmatch(r"\d\.\d+ ms", texts["decode.seconds"])
        assert alarms == ""
        opened.page.evaluate(SET, ["context", len(controls["context"]) - 1])
        _, _, alarms = opened.page.evaluate(READ)
        assert "weights and state are 563 GB, h100-sxm holds 85.9 GB: at this context 0 sequences fit" in alarms
        assert "beyond the 4,096 tokens it was made for" in alarms
        opened.page.evaluate(SET, ["hardware", controls["hardware"].index("m1-max")])
        shown, _, alarms = opened.page.evaluate(READ)
        assert "m1-max: the hardware table has no bf16 peak, so no times" in alarms
        assert shown["decode.seconds"] == ["", "–"]
        assert shown["weights_bytes"][0] == str(2 * 6_738_415_616)
        opened.page.keyboard.press("Tab")
        assert opened.page.evaluate("document.activeElement.id") == "set-batch"


@pytest.mark.browser
def test_the_page_fits_a_phone(started, tmp_path):
    path = tmp_path / "sheet.html"
    path.write_text(render_cost(data_of(subject_of("mixtral-8x7b"))[1]))
    with browser.opened(started, path, **browser.PHONE) as opened:
        assert opened.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_data_are_plain_json():
    _, data = data_of(subject_of("gemma-3-1b"))
    assert json.loads(json.dumps(data)).keys() == data.keys()
