"""What a training step of each mixer is told as: a row a kind."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

from isostate.costs.tape import linear_family, mamba, mamba2, s4, softmax, window
from isostate.costs.tape.projections import Table, qkv_tables
from isostate.costs.tape.tape import Storage, Value
from isostate.mixers import Form
from isostate.model import ModelConfig


class Told(NamedTuple):
    """A mixer's training beyond what its config tells of a forward.

    step             (tape, config, input, batch, context, form) -> its output, and the storages of its state
    backward_flops   (config, forward, batch, context, form) -> matmul FLOPs of the backward between the projections,
                     whose forward takes `forward`
    tables           (config, context, bytes of an element) -> what the first step makes and keeps for good
    forms            those that the tape knows; loops over positions are never told
    """

    step: Callable[..., tuple[Value, list[Storage]]]
    backward_flops: Callable[[Any, int, int, int, Form], int]
    tables: Callable[[Any, int, int], list[Table]]
    forms: tuple[Form, ...] = ("chunked",)


def tables_of(config: ModelConfig, context: int, element_bytes: int) -> list[Table]:
    """What a model's mixers make and keep for good, each table once."""
    different = [MIXERS_TOLD[one.kind].tables(one, context, element_bytes) for one, _ in config.mixer_groups]
    return different[0] if len(different) == 1 else list(dict.fromkeys(chain.from_iterable(different)))


_LINEAR_FAMILY = Told(linear_family.linear_family, linear_family.backward_flops, linear_family.tables)

MIXERS_TOLD: dict[str, Told] = {
    "softmax": Told(softmax.softmax, softmax.backward_flops, qkv_tables, ("chunked", "parallel")),
    "window": Told(window.window, window.backward_flops, qkv_tables, ("chunked", "parallel")),
    "linear": _LINEAR_FAMILY,
    "taylor": _LINEAR_FAMILY,
    "power": _LINEAR_FAMILY,
    "mamba2": Told(mamba2.mamba2, mamba2.backward_flops, mamba2.tables),
    "mamba": Told(mamba.mamba, mamba.backward_flops, mamba.tables),
    "s4": Told(s4.s4, s4.backward_flops, s4.tables, ("chunked", "parallel")),
}
