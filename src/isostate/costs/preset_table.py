"""The famous models: their shapes, where they are published, and the parameter counts printed there.

`presets/` holds one file a family. A model whose config.json is public is described by its keys, as `costs/huggingface`
reads them, under those that its family shares; the others by an `Architecture`. Every published count is a test: equal
to the integer, or to the last printed digit; where the two cannot meet, `differs` says why.
"""

from __future__ import annotations

import functools
import json
from importlib import resources
from typing import Any, Literal, Self

from pydantic import model_validator

from isostate.config import Config, UserError, nearest
from isostate.costs.architecture import Architecture
from isostate.costs.formula import count_params
from isostate.costs.huggingface.read import from_huggingface
from isostate.costs.sublayer import Size

UNITS = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}


class Claim(Config):
    """A published count as printed, such as 6,738,415,616 or 175B or 1.693e8, and where. `differs`: why ours does."""

    figure: Literal["total", "non_embedding", "active"] = "total"
    value: str
    where: str
    differs: str = ""

    def counted(self, preset: Preset) -> int:
        """Our count of the same figure."""
        params = count_params(preset.architecture)
        return {"total": params.total, "non_embedding": params.non_embedding, "active": params.active}[self.figure]

    def is_met(self, preset: Preset) -> bool:
        """Whether the count rounds to what is printed: to the integer where all digits are."""
        printed, half_digit = read_printed(self.value)
        return abs(self.counted(preset) - printed) <= half_digit


class Preset(Config):
    """One published model; `context`: the longest it was trained on, or published for. `note`: on its source.

    `tokens`: those that the tokenizer has, where its table has more rows, for speed.
    """

    name: str
    family: str
    year: int
    tokenizer: str
    tokens: Size | None = None
    context: Size
    source: str
    note: str = ""
    config: dict[str, Any] | None = None
    described: Architecture | None = None
    published: tuple[Claim, ...]

    @model_validator(mode="after")
    def _has_one_description(self) -> Self:
        if (self.config is None) == (self.described is None):
            raise ValueError(f"{self.name}: give a config or an architecture, and not both")
        return self

    @functools.cached_property
    def architecture(self) -> Architecture:
        if self.described is not None:
            return self.described
        return from_huggingface(self.config, self.name)


@functools.cache
def load_presets() -> dict[str, Preset]:
    """Every preset by its name, family after family in the order of their files."""
    presets = {}
    folder = resources.files("isostate.costs").joinpath("presets")
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        family = json.loads(path.read_text(encoding="utf-8"))
        for values in family["presets"]:
            about = {key: value for key, value in family.items() if key not in {"presets", "shared"}}
            if "config" in values:
                about["config"] = family.get("shared", {}) | values["config"]
            else:
                about["described"] = values["architecture"]
            own = {key: value for key, value in values.items() if key not in {"config", "architecture"}}
            preset = Preset.parse(about | own, path.name)
            assert preset.name not in presets, f"two presets are named {preset.name}"
            presets[preset.name] = preset
    return presets


def find_preset(name: str) -> Preset:
    """The preset of that name. Raises UserError, with the nearest name, where there is none."""
    presets = load_presets()
    if name not in presets:
        families = [first.name for first in {one.family: one for one in reversed(presets.values())}.values()]
        raise UserError(f"no preset {name!r}{nearest(name, presets)}; one of each family: {', '.join(families)}")
    return presets[name]


def read_printed(text: str) -> tuple[float, float]:
    """(number, half a unit of its last printed digit): 175B is 175e9 and 0.5e9; all digits printed, 0."""
    digits, unit = text.replace(",", ""), 1
    if digits[-1] in UNITS:
        digits, unit = digits[:-1], UNITS[digits[-1]]
    elif "e" in digits:
        digits, exponent = digits.split("e")
        unit = 10 ** int(exponent)
    decimals = len(digits.partition(".")[2])
    return float(digits) * unit, 0.0 if unit == 1 else 0.5 * unit / 10**decimals
