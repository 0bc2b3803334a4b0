"""What accelerators and processors can do, by datasheet: `hardware.json`, each number with its source.

Peaks are those of dense matrix products: makers print figures with 2:4 sparsity, twice as large, and tables and
libraries copy them. Links are one direction, of which makers print the sum of both. What no source tells is None.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import Field

from isostate.config import Config, UserError, nearest

Dtype = Literal["fp64", "fp32", "tf32", "fp16", "bf16", "fp8", "int8", "fp4"]
DTYPES: tuple[Dtype, ...] = get_args(Dtype)
BYTES_OF: dict[str, float] = {"fp64": 8, "fp32": 4, "tf32": 4, "fp16": 2, "bf16": 2, "fp8": 1, "int8": 1, "fp4": 0.5}

Quantity = Literal[
    "memory_bytes", "bandwidth_bytes_per_s", "link_bytes_per_s", "network_bytes_per_s", "node_size", "power_w"
]


class Hardware(Config):
    """One device. Read what a table may lack by `peak`, `known` and `price`: they say so in one line."""

    name: str
    aliases: tuple[str, ...] = ()
    title: str
    vendor: str
    year: int
    kind: Literal["accelerator", "cpu"] = "accelerator"
    peak_flops_per_s: dict[Dtype, float | None]
    memory_bytes: int | None = None
    bandwidth_bytes_per_s: float | None = None
    link_bytes_per_s: float | None = None  # to the other devices of its node, one direction
    network_bytes_per_s: float | None = None  # beyond the node, one direction, a device
    node_size: int | None = None  # devices that the links join
    power_w: float | None = None
    dollars_per_hour: tuple[float, float] | None = None  # lowest and highest found
    matmul_efficiency: float | None = None  # share of the bf16 peak that the best matrix product reached
    source: str
    sources: dict[str, str] = Field(default={})  # of single quantities, where not `source`
    note: str = ""

    def peak(self, dtype: Dtype) -> float:
        """FLOPs a second of dense matrix products. Raises UserError where the table has none for the type."""
        if dtype not in DTYPES:
            raise UserError(f"no dtype {dtype!r}{nearest(dtype, DTYPES)}; known: {', '.join(DTYPES)}")
        found = self.peak_flops_per_s.get(dtype)
        if found is None:
            known = [name for name in DTYPES if self.peak_flops_per_s.get(name)]
            advice = f"it has {', '.join(known)}" if known else "it has none at all: give another device"
            raise UserError(f"{self.name}: the hardware table has no {dtype} peak; {advice}")
        return found

    def known(self, quantity: Quantity) -> float:
        """That quantity. Raises UserError where the table has none."""
        found = getattr(self, quantity)
        if found is None:
            raise UserError(f"{self.name}: the hardware table has no {quantity}; choose another device or give it")
        return found

    def price(self) -> tuple[float, float]:
        """Lowest and highest dollars an hour. Raises UserError where the table has none."""
        if self.dollars_per_hour is None:
            raise UserError(f"{self.name}: the hardware table has no price; give the dollars an hour that you pay")
        return self.dollars_per_hour

    def source_of(self, quantity: str) -> str:
        """Where a number comes from, such as 'power_w' or 'peak_flops_per_s.fp16'."""
        own = self.sources.get(quantity) or self.sources.get(quantity.partition(".")[0])
        return _read()["sources"].get(own or self.source, own or self.source)


def hardware_table() -> dict[str, Hardware]:
    """Every row by name, in the order of the file."""
    return dict(_rows())


def find_hardware(name: str) -> Hardware:
    """By name or alias, whatever the case, blanks and underscores. Raises UserError that names the nearest."""
    wanted = "-".join(name.lower().replace("_", " ").replace("-", " ").split())
    names = {alias: row for row in _rows().values() for alias in (row.name, *row.aliases)}
    if wanted not in names:
        known = ", ".join(_rows())
        raise UserError(f"no hardware {name!r}{nearest(wanted, names)}; known: {known}")
    return names[wanted]


def conventions() -> list[str]:
    """What the table's numbers mean, a sentence each."""
    return list(_read()["conventions"])


@lru_cache(maxsize=1)
def _read() -> dict[str, Any]:
    return json.loads(Path(__file__).with_name("hardware.json").read_text(encoding="utf-8"))


@lru_cache(maxsize=1)
def _rows() -> dict[str, Hardware]:
    return {row["name"]: Hardware.parse(row, "hardware.json") for row in _read()["hardware"]}
