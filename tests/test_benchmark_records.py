"""Committed records of benchmarks/: their bounds hold, and what they say we predicted is what we predict."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from statistics import median

import pytest

from isostate.costs import training_memory
from isostate.mixers import MIXERS
from isostate.mixers.engine_kernel import best_chunk
from isostate.model import ModelConfig

ROOT = Path(__file__).parents[1]
COUNTERS = ("FlopCounterMode", "fvcore", "calflops", "thop", "ptflops", "torchinfo", "llm-analysis")


def record(name: str):
    return json.loads((ROOT / "benchmarks/records" / f"{name}.json").read_text())


def test_the_peak_of_training_memory_is_the_allocators_within_three_percent():
    rows = record("peak_memory")["rows"]
    for row in rows:
        config = ModelConfig.parse(row["model"], row["case"])
        memory = training_memory(config, row["batch"], row["context"], recompute=row["recompute"])
        assert row["predicted"] == memory.total
        assert abs(row["predicted"] / row["allocator"] - 1) <= 0.03
        assert row["error"] == pytest.approx(row["predicted"] / row["allocator"] - 1, abs=1e-6)
        assert row["resident"] > 0
    kinds = {row["model"]["mixer"]["kind"] for row in rows}
    assert {"softmax", "window"} < kinds
    assert kinds & {"linear", "power"}
    assert any(row["model"].get("dropout") and row["recompute"] == "blocks" for row in rows)


@pytest.mark.parametrize("kind", ["updates", "tokens"])
def test_time_is_predicted_within_its_bounds(kind):
    rows = record("predict_time")[kind]
    errors = [abs(row["predicted_ms"] / row["real_ms"] - 1) for row in rows]
    assert len({row["case"] for row in rows}) >= 12
    assert median(errors) < 0.12
    assert max(errors) < 0.30


def test_a_token_takes_at_most_two_and_a_half_times_the_read_of_weights_and_state(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    decode = importlib.import_module("decode")
    said = record("decode")
    rows = {row["family"]: row for row in said["rows"]}
    assert rows.keys() == {*decode.FAMILIES, "transformers"}
    assert {decode.config_of(name).mixer.kind for name in decode.FAMILIES} == MIXERS.keys()
    bandwidth = 1e9 * max(said["gb_per_s"].values())
    for name in decode.FAMILIES:
        row, config = rows[name], decode.config_of(name)
        assert row["parameters"] == config.param_count().total == pytest.approx(25e6, rel=0.03)
        assert row["read_ms"] == pytest.approx(1e3 * decode.read_bytes(name) / bandwidth, rel=0.01)
        assert row["ratio"] == pytest.approx(row["ms"] / row["read_ms"], rel=0.01)
        assert row["ratio"] <= 2.5
        assert row["ratio"] < rows["transformers"]["ratio"]
    for row in said["flat"]["rows"]:
        assert row["largest_over_smallest"] <= max(1.10, row["noise"])
    assert {row["family"] for row in said["flat"]["rows"]} == set(decode.RECURRENT)
    assert said["flat"]["positions"] == [1, 1024, 16_384, 65_536]


@pytest.fixture
def models(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("counters_models").MODELS


def test_of_all_counters_only_ours_gives_the_truth_on_every_model(models):
    rows = {row["model"]: row for row in record("counters")["rows"]}
    assert rows.keys() == models.keys()
    assert len(rows) >= 6
    for name, row in rows.items():
        assert row["truth"] == models[name].truth(), "written down by hand"
        assert row["ours"] == models[name].ours() == row["truth"]
    for counter in COUNTERS:
        wrong = [
            (name, quantity)
            for name, row in rows.items()
            for quantity, truth in row["truth"].items()
            if row["counters"][counter].get(quantity) not in (None, truth)
        ]
        assert wrong, f"{counter} is right throughout: say so in docs/counters.md"


def test_the_documented_table_is_the_records():
    text, rows = (ROOT / "docs/counters.md").read_text(), record("counters")["rows"]
    for row in rows:
        for quantity, truth in row["truth"].items():
            line = next(
                line for line in text.splitlines() if line.startswith(f"| {row['model']} | {quantity} | {truth:,} |")
            )
            cells = [cell.strip() for cell in line.strip("|").split("|")][3:]
            assert cells == ["1", *(_share(row["counters"][counter].get(quantity), truth) for counter in COUNTERS)]
    for name, version in record("counters")["versions"].items():
        assert re.search(rf"{re.escape(name)} {re.escape(version)}", text)


def _share(found: int | None, truth: int) -> str:
    return "–" if found is None else "1" if found == truth else f"{found / truth:.3f}"


@pytest.fixture
def recurrences(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("recurrences")


@pytest.mark.parametrize("length", [512, 2048, 8192])
def test_the_engine_is_as_fast_as_we_say(length, recurrences):
    section = record("recurrences")["lengths"][str(length)]
    ms = {name: row["seconds"] for name, row in section["ms"].items()}
    bars = recurrences.bars(length, ms, section["ms"]["product"]["low"])
    assert len(bars) >= 6
    for name, (found, least) in bars.items():
        assert section["bars"][name]["least"] == least
        assert section["bars"][name]["found"] == pytest.approx(found, abs=1e-3)
        assert section["bars"][name]["found"] >= least, name
    assert section["power_flops"] == recurrences.power_flops(length)


def test_the_others_were_compared_on_equal_results():
    differences = record("recurrences")["differences"]
    assert {name.split(" ")[1] for name in differences} == {"FLA", "transformers", "retention", "retention,"}
    assert max(differences.values()) < 1e-4


def test_the_chunk_rule_chooses_within_its_bound_of_the_best(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    rule = importlib.import_module("chunk_rule")
    rows = record("chunk_rule")["rows"]
    assert [tuple(row["shape"]) for row in rows] == rule.SHAPES
    for row in rows:
        name, K, V, length, _, _ = row["shape"]
        assert row["chosen"] == best_chunk(rule.MAPS[name](K), V + (name != "linear"), length)
        ratio = row["ms"][str(row["chosen"])] / min(row["ms"].values())
        assert ratio == pytest.approx(row["times_best"], abs=1e-3)
        assert ratio <= record("chunk_rule")["bound"] == 1.1


def test_packed_documents_cost_softmax_attention_less_than_whole_rows():
    shares = record("packed_documents")["shares"]
    assert shares["softmax 2048"] <= 0.7
    assert shares["softmax 8192"] <= 0.4
