"""What a training step of each mixer is told as: a row a kind."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import Any, NamedTuple

from isostate.costs.tape import linear_family, mamba, mamba2, s4, softmax, window
from isostate.costs.tape.engine_kernel import engine_tables, runs_engine
from isostate.costs.tape.projections import Table, qkv_tables
from isostate.costs.tape.tape import Storage, Value
from isostate.mixers import Form
from isostate.mixers.linear_family import LinearFamilyConfig
from isostate.mixers.mamba2 import Mamba2Config
from isostate.mixers.native import Kernels
from isostate.model import ModelConfig


class Told(NamedTuple):
    """A mixer's training beyond what its config tells of a forward.

    step             (tape, config, input, batch, context, form) -> its output, and the storages of its state
    backward_flops   (config, forward, batch, context, form) -> matmul FLOPs of the backward between the projections,
                     whose forward takes `forward`
    tables           (config, context, bytes of an element) -> what the first step makes and keeps for good
    forms            those that the tape knows; loops over positions are never told
    kernel_tables    config -> what our own kernel makes besides, where it serves
    """

    step: Callable[..., tuple[Value, list[Storage]]]
    backward_flops: Callable[[Any, int, int, int, Form], int]
    tables: Callable[[Any, int, int], list[Table]]
    forms: tuple[Form, ...] = ("chunked",)
    kernel_tables: Callable[[Any], list[Table]] = lambda config: []


def tables_of(config: ModelConfig, context: int, element_bytes: int, kernels: Kernels = "torch") -> list[Table]:
    """What a model's mixers make and keep for good, each table once."""
    by_kernel = runs_engine(kernels, element_bytes)
    different = [
        told.tables(one, context, element_bytes) + (told.kernel_tables(one) if by_kernel else [])
        for one, told in ((one, MIXERS_TOLD[one.kind]) for one, _ in config.mixer_groups)
    ]
    return different[0] if len(different) == 1 else list(dict.fromkeys(chain.from_iterable(different)))


def _of_the_engine(config: LinearFamilyConfig | Mamba2Config) -> list[Table]:
    return engine_tables(config.feature_map)


_LINEAR_FAMILY = Told(
    linear_family.linear_family, linear_family.backward_flops, linear_family.tables, kernel_tables=_of_the_engine
)

MIXERS_TOLD: dict[str, Told] = {
    "softmax": Told(softmax.softmax, softmax.backward_flops, qkv_tables, ("chunked", "parallel")),
    "window": Told(window.window, window.backward_flops, qkv_tables, ("chunked", "parallel")),
    "linear": _LINEAR_FAMILY,
    "taylor": _LINEAR_FAMILY,
    "power": _LINEAR_FAMILY,
    "mamba2": Told(mamba2.mamba2, mamba2.backward_flops, mamba2.tables, kernel_tables=_of_the_engine),
    "mamba": Told(mamba.mamba, mamba.backward_flops, mamba.tables),
    "s4": Told(s4.s4, s4.backward_flops, s4.tables, ("chunked", "parallel")),
}
