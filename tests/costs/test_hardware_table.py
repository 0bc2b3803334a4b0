"""The hardware table: sources, dense figures, units, what is not known said in one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import isostate.costs.hardware_table as hardware_table_file
from isostate.config import UserError
from isostate.costs.hardware_table import BYTES_OF, DTYPES, Hardware, conventions, find_hardware, hardware_table
from tests.costs.torch_free import imports_without_torch

TABLE = hardware_table()
FILE = json.loads(Path(hardware_table_file.__file__).with_name("hardware.json").read_text())
GIB = 2**30
every_row = pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)


def test_it_loads_without_torch():
    assert imports_without_torch("hardware_table")


def test_there_are_the_devices_that_people_ask_for():
    assert len(TABLE) >= 40
    assert {row.vendor for row in TABLE.values()} >= {"NVIDIA", "AMD", "Google", "Apple", "Intel", "AWS"}
    wanted = (
        "v100 v100s t4 a10 a100-40 a100-80 a6000 l4 l40s h100-80 h100-pcie h100-nvl h200 gh200 b100 b200 gb200 b300"
    )
    wanted += " 3090 4090 5090 mi210 mi250x mi300x mi325x mi355x tpu-v2 tpu-v3 tpu-v4 tpu-v5e tpu-v5p tpu-v6e tpu-v7"
    wanted += " m1-max m2-ultra m3-ultra m4-max gaudi2 gaudi3 epyc rpi-4 trn1 trn2 inf2"
    assert len({find_hardware(name).name for name in wanted.split()}) == len(wanted.split())


@every_row
def test_every_number_has_a_source(row):
    quantities = [f"peak_flops_per_s.{dtype}" for dtype, peak in row.peak_flops_per_s.items() if peak]
    quantities += [name for name in ("memory_bytes", "power_w", "dollars_per_hour") if getattr(row, name) is not None]
    named = {row.source, *row.sources.values()}
    assert named <= set(FILE["sources"])
    for quantity in quantities:
        assert row.source_of(quantity) in FILE["sources"].values()
    # What no datasheet of the device tells has a source of its own.
    beside = ("dollars_per_hour", "network_bytes_per_s", "matmul_efficiency")
    if row.vendor == "NVIDIA":
        assert all(name in row.sources for name in beside if getattr(row, name) is not None)


def test_every_source_is_used_and_says_where_to_look():
    used = {source for row in TABLE.values() for source in (row.source, *row.sources.values())}
    assert used == set(FILE["sources"])
    assert set(FILE["read_again"]) <= used
    assert all(len(text) > 20 for text in FILE["sources"].values())
    assert len(conventions()) == 7


@every_row
def test_the_figures_are_dense_and_in_proportion(row):
    # Halving the bits at most doubles the rate of dense products; figures with sparsity double it once more.
    peaks = row.peak_flops_per_s
    half = peaks.get("bf16") or peaks.get("fp16")
    for dtype, most in {"tf32": 1.0, "fp8": 2.03, "fp4": 8.01, "int8": 4.01}.items():
        if half and peaks.get(dtype):
            assert peaks[dtype] <= most * half
    assert all(peak is None or 1e10 <= peak < 2e16 for peak in peaks.values())


# Figures of headlines, with 2:4 sparsity or fp16 sums: what other tables and libraries hold.
SPARSE = {
    "a100": ("bf16", 624e12),
    "h100": ("bf16", 1979e12),
    "h200": ("fp8", 3958e12),
    "h100-pcie": ("bf16", 1513e12),
    "l4": ("bf16", 242e12),
    "l40s": ("fp8", 1466e12),
    "b200": ("bf16", 4500e12),
    "a6000": ("fp16", 309.7e12),
    "4090": ("fp16", 330.3e12),
    "mi300x": ("fp8", 5229.8e12),
    "trn2": ("bf16", 2563e12),
}


@pytest.mark.parametrize("name", SPARSE)
def test_no_peak_is_the_headline_with_sparsity(name):
    dtype, headline = SPARSE[name]
    assert find_hardware(name).peak(dtype) < 0.55 * headline


def test_the_slips_of_the_notes_table_are_mended():
    # ERRATA 36: the row called V100 is a V100S; bandwidths are TB/s, not TiB/s.
    v100, v100s = find_hardware("v100"), find_hardware("v100s")
    assert (v100s.peak("fp16"), v100s.known("bandwidth_bytes_per_s")) == (130e12, 1134e9)
    assert (v100.peak("fp16"), v100.known("bandwidth_bytes_per_s")) == (125e12, 900e9)
    assert find_hardware("a100").known("bandwidth_bytes_per_s") == 2.039e12 != 2.039 * 2**40
    # ERRATA 37: the A100 has 40 or 80 GB, not at most 32.
    assert find_hardware("a100-40").known("memory_bytes") == 40 * GIB
    assert find_hardware("a100-80").known("memory_bytes") == 80 * GIB
    # The article: the T4's 65 T are fp16, not fp32, and it has no bf16.
    t4 = find_hardware("t4")
    assert (t4.peak("fp16"), t4.peak("fp32")) == (65e12, 8.1e12)
    with pytest.raises(UserError, match="t4: the hardware table has no bf16 peak; it has fp32, fp16, int8"):
        t4.peak("bf16")


def test_what_a_devices_memory_holds():
    assert all(row.memory_bytes is None or row.memory_bytes % GIB == 0 for row in TABLE.values())
    assert find_hardware("h100").known("memory_bytes") == 81920 * 2**20  # 81,559 MiB after the driver's share


def test_links_are_one_direction():
    # Makers print 300, 600, 900 and 1,800 GB/s for NVLink 2 to 5: both directions.
    links = [find_hardware(name).known("link_bytes_per_s") for name in ("v100", "a100", "h100", "b200")]
    assert links == [150e9, 300e9, 450e9, 900e9]


def test_names_are_found_in_any_spelling_and_are_unique():
    assert find_hardware(" H100_80 ") is find_hardware("h100 80") is TABLE["h100-sxm"]
    names = [alias for row in TABLE.values() for alias in (row.name, *row.aliases)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name, hint", [("h10", "h100"), ("mi300", "mi300x"), ("tpuv4", "tpu-v4"), ("", None)])
def test_an_unknown_name_is_answered_with_the_nearest(name, hint):
    with pytest.raises(UserError, match=f'did you mean "{hint}"' if hint else "known: v100-pcie") as caught:
        find_hardware(name)
    assert "\n" not in str(caught.value)


def test_what_is_not_known_is_said_in_one_line():
    with pytest.raises(UserError, match="rpi-4: the hardware table has no power_w; choose another device or give it"):
        find_hardware("rpi-4").known("power_w")
    with pytest.raises(UserError, match="tpu-v4: the hardware table has no price; give the dollars an hour"):
        find_hardware("tpu-v4").price()
    with pytest.raises(UserError, match="m4-max: the hardware table has no bf16 peak; it has none at all"):
        find_hardware("m4-max").peak("bf16")
    with pytest.raises(UserError, match=r"no dtype 'fp61' .did you mean .fp64"):
        find_hardware("a100").peak("fp61")


@every_row
def test_no_row_has_a_hole_that_nothing_can_bridge(row):
    assert row.known("bandwidth_bytes_per_s") > 0
    if row.dollars_per_hour:
        low, high = row.price()
        assert 0 < low <= high < 100
    if row.matmul_efficiency:
        assert 0.5 < row.matmul_efficiency < 1


def test_bytes_of_a_number():
    assert set(BYTES_OF) == set(DTYPES)
    assert BYTES_OF["fp4"] == 0.5


def test_a_row_of_ones_own_is_checked_like_the_tables():
    mine = Hardware.parse(
        {"name": "mine", "title": "t", "vendor": "v", "year": 2025, "source": "me", "peak_flops_per_s": {"bf16": 1e15}},
        "mine.json",
    )
    assert mine.source_of("memory_bytes") == "me"
    with pytest.raises(UserError, match=r"mine.json: unknown key 'powr_w' .did you mean \"power_w\""):
        Hardware.parse({**mine.to_dict(), "powr_w": 3}, "mine.json")
