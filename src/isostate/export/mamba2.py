"""Mamba-2: as Mamba, with heads, groups, a norm of the gated output and limits of the step."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from isostate.config import UserError
from isostate.costs.huggingface.recurrent import Mamba2File
from isostate.export import mamba
from isostate.export.mapping import HuggingFaceType, must_be
from isostate.model import ModelConfig


class Mamba2Logits(Mamba2File):
    """With what decides its logits beside the sizes."""

    layer_norm_epsilon: float = 1e-5
    hidden_act: str = "silu"


def read(values: Mapping[str, Any], where: str) -> ModelConfig:
    """`chunk_size` decides speed alone: the engine has its own rule."""
    file = Mamba2Logits.read(values, where)
    must_be(where, file.to_dict(), {"hidden_act": "silu"})
    mixer = {
        "kind": "mamba2",
        "expand": file.expand,
        "n_heads": file.num_heads,
        "head_dim": file.head_dim,
        "d_state": file.state_size,
        "n_groups": file.n_groups,
        "conv_taps": file.conv_kernel,
        "conv_bias": file.use_conv_bias,
        "step_limits": _limits(values.get("time_step_limit"), where),
        "norm_eps": file.layer_norm_epsilon,
    }
    return ModelConfig.parse(mamba.around(file, file.layer_norm_epsilon) | {"mixer": mixer}, where)


def write(config: ModelConfig, context: int | None) -> dict[str, Any]:
    """Keys of config.json. Steps without limits are its default, and left out: JSON has no infinity."""
    mixer: Any = config.mixer
    limits = {} if mixer.step_limits is None else {"time_step_limit": list(mixer.step_limits)}
    heads = {"num_heads": mixer.n_heads, "head_dim": mixer.head_dim, "n_groups": mixer.n_groups}
    return mamba.write_shared(config) | heads | limits


def _limits(given: Any, where: str) -> list[float] | None:
    """None for 0 to infinity, which transformers spells {"__float__": "Infinity"}."""
    if given is None:
        return None
    ends = given if isinstance(given, list | tuple) else []
    numbers = [float(end["__float__"]) if isinstance(end, dict) and "__float__" in end else end for end in ends]
    if len(numbers) != 2 or not all(isinstance(end, int | float) for end in numbers):
        raise UserError(f"{where}: time_step_limit = {given}: must be two numbers, the smallest step and the largest")
    low, high = numbers
    if low <= 0 and math.isinf(high):
        return None
    if math.isinf(high):
        raise UserError(f"{where}: time_step_limit = {given}: Isostate has no smallest step without a largest")
    return [low, high]


MAMBA2_TYPE = HuggingFaceType("mamba2", "Mamba2ForCausalLM", read, write, mamba.layout, "backbone.")
