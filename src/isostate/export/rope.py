"""Rotary positions in config.json: `rope_parameters` (transformers 5), or `rope_theta` and `rope_scaling`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from isostate.config import UserError
from isostate.mixers.rotary import RAMPS, RotaryConfig

BASE = 10_000.0
SCALED = ("linear", "yarn", "llama3")
RAMP_KEYS = {"yarn": ("beta_slow", "beta_fast"), "llama3": ("low_freq_factor", "high_freq_factor")}
KNOWN = {"rope_type", "type", "rope_theta", "factor", "original_max_position_embeddings"}
# Options of one type and the value that ours stands for.
FIXED = {"partial_rotary_factor": 1.0, "truncate": True}


def read_rope(values: Mapping[str, Any], max_context: int, where: str) -> dict[str, Any]:
    """A `RotaryConfig`'s values. Raises UserError for what it cannot be."""
    given = values.get("rope_parameters") or values.get("rope_scaling") or {}
    if not isinstance(given, dict):
        raise UserError(f"{where}: rope_parameters = {json.dumps(given)}: must be a table of keys")
    kind = given.get("rope_type", given.get("type", "default"))
    base = given.get("rope_theta", values.get("rope_theta"))
    made: dict[str, Any] = {"base": BASE if base is None else base}
    if kind == "default":
        _check_rest(given, set(), where)
        return made
    if kind == "dynamic":
        raise UserError(
            f'{where}: rope_type = "dynamic": turns by the length of the whole text, Isostate by position alone; up to '
            f'max_position_embeddings = {max_context} tokens "default" is the same, so set that in config.json'
        )
    if kind not in SCALED:
        raise UserError(f"{where}: rope_type = {json.dumps(kind)}: Isostate has default, {', '.join(SCALED)}")
    trained = given.get("original_max_position_embeddings") or max_context
    factor = given.get("factor")
    if factor is None and kind == "yarn":
        factor = max_context / trained
    if isinstance(factor, bool) or not isinstance(factor, int | float):
        raise UserError(f"{where}: rope_parameters.factor = {json.dumps(factor)}: must be a number of at least 1")
    made |= {"scaling": kind, "factor": factor}
    ramp = RAMP_KEYS.get(kind, ())
    if ramp:
        ends = [None if given.get(key) == end else given.get(key) for key, end in zip(ramp, RAMPS[kind], strict=True)]
        made |= {"trained_context": trained, "slow": ends[0], "fast": ends[1]}
    if kind == "yarn":
        _check_gain(given, factor, where)
    _check_rest(given, {*ramp, "attention_factor", "mscale", "mscale_all_dim"}, where)
    return made


def write_rope(rotary: RotaryConfig | None) -> dict[str, Any]:
    """`rope_parameters`, with the older keys beside them, which transformers 4 reads. Raises UserError for ntk."""
    rotary = rotary or RotaryConfig()
    if rotary.scaling == "ntk":
        raise UserError(
            'mixer.rotary.scaling = "ntk": Hugging Face has only the dynamic kind, which turns by length; '
            "export with --format isostate, which keeps everything"
        )
    if rotary.scaling == "none":
        return {"rope_parameters": {"rope_type": "default", "rope_theta": rotary.base}, "rope_theta": rotary.base}
    scaling: dict[str, Any] = {"rope_type": rotary.scaling, "factor": rotary.factor}
    if rotary.scaling in RAMP_KEYS:
        slow, fast = RAMP_KEYS[rotary.scaling]
        scaling |= {"original_max_position_embeddings": rotary.trained_context}
        scaling |= {slow: rotary.turns[0], fast: rotary.turns[1]}
    return {
        "rope_parameters": {**scaling, "rope_theta": rotary.base},
        "rope_scaling": scaling,
        "rope_theta": rotary.base,
    }


def _check_gain(given: Mapping[str, Any], factor: float, where: str) -> None:
    """YaRN's factor of cosines and sines must be ours, 1 + ln(s) / 10."""
    ours, theirs = 1 + 0.1 * math.log(max(factor, 1)), given.get("attention_factor")
    if theirs is None and given.get("mscale") and given.get("mscale_all_dim"):
        scales = [1 + 0.1 * given[key] * math.log(max(factor, 1)) for key in ("mscale", "mscale_all_dim")]
        theirs = scales[0] / scales[1]
    if theirs is not None and not math.isclose(theirs, ours, rel_tol=1e-6):
        raise UserError(
            f"{where}: attention_factor (or mscale over mscale_all_dim) = {theirs:g}: Isostate's YaRN has only "
            f"1 + ln(factor) / 10 = {ours:g}"
        )


def _check_rest(given: Mapping[str, Any], known: set[str], where: str) -> None:
    for key, value in given.items():
        if key in FIXED and value not in (None, FIXED[key]):
            raise UserError(f"{where}: {key} = {json.dumps(value)}: Isostate has only {json.dumps(FIXED[key])}")
        if key not in KNOWN | known | FIXED.keys() and value is not None:
            raise UserError(f"{where}: rope_parameters.{key} = {json.dumps(value)}: Isostate has no such option")
