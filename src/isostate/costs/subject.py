"""What a cost sheet is made of: a model that counts itself, whether described by formula or built by Isostate.

`of_architecture` counts presets and config.json files without torch; `costs/decoder.py` counts Isostate's own configs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from isostate.costs.architecture import Architecture
from isostate.costs.formula import (
    Params,
    WeightStateRatio,
    count_params,
    operators,
    state_size_of,
    train_cost_of,
    weight_state_ratio,
)
from isostate.costs.preset_table import Preset
from isostate.costs.shape import shape_of
from isostate.costs.sharding import ModelShape
from isostate.costs.sublayer import Run
from isostate.quantities import Cost, Operator, StateSize

if TYPE_CHECKING:
    from isostate.costs.precision import PrecisionName
    from isostate.costs.training import TrainingMemory
    from isostate.mixers.native import Kernels
    from isostate.model import Recompute

BYTE = 8  # bits: with one byte an element, bytes are elements


@dataclass(frozen=True)
class Subject:
    """A model to be counted. `windows`, `chunks`, `experts`: where its counts bend, None where they follow no formula.

    `context` is what it was made for, `limit` the end of its learned positions, `fixed` the positions of an image.
    `exact` and `estimated` say in words which numbers are which. `memory` of a training step, where a tape tells it.
    """

    name: str
    title: str
    source: str
    params: Params
    context: int
    operators: Callable[[Run], list[Operator]]
    train_cost: Callable[[int, int], Cost]  # batch, context
    state_size: Callable[[int], StateSize]  # of one sequence, one byte an element
    ratio: Callable[[int], WeightStateRatio] | None  # of a token decoded at that context; None: it keeps no state
    generates: bool
    exact: str
    estimated: str
    limit: int | None = None
    fixed: int | None = None
    published: tuple[dict[str, Any], ...] = ()
    windows: tuple[int, ...] = ()
    chunks: tuple[int, ...] = ()
    experts: tuple[tuple[int, int], ...] = ()
    by_formula: bool = True
    # batch, context, precision, what runs again, whose kernels
    memory: Callable[[int, int, PrecisionName, Recompute, Kernels | None], TrainingMemory] | None = None
    shape: Callable[[], ModelShape] | None = None  # what layouts split; raises UserError for other kinds of models


def of_preset(preset: Preset) -> Subject:
    """A famous model, with what was published of it."""
    claims = []
    for one in preset.published:
        verdict = "met" if one.is_met(preset) else "differs"
        claims.append(
            {"figure": one.figure, "value": one.value, "where": one.where, "verdict": verdict, "why": one.differs}
        )
    return of_architecture(
        preset.architecture,
        preset.name,
        f"{preset.family}, {preset.year}",
        preset.source,
        preset.context,
        tuple(claims),
    )


def of_architecture(
    architecture: Architecture,
    name: str,
    title: str,
    source: str,
    context: int | None = None,
    published: tuple[dict[str, Any], ...] = (),
) -> Subject:
    """By formula. Without a context of its own: the end of learned positions, else 2,048 tokens."""
    fixed, limit = architecture.fixed_context, architecture.embedding.n_positions
    sublayers = [one for block, _ in architecture.counted_blocks() for one in block.sublayers]
    keeps_state = architecture.generates and any(one.state_parts(architecture.d_model, 1) for one in sublayers)
    left_out = f"; left out: {architecture.left_out}" if architecture.left_out else ""
    return Subject(
        name,
        title,
        source,
        count_params(architecture),
        fixed or context or limit or 2048,
        lambda run: operators(architecture, run),
        lambda batch, context: train_cost_of(architecture, Run(batch, context)),
        lambda context: state_size_of(architecture, context, BYTE),
        (lambda context: weight_state_ratio(architecture, context)) if keeps_state else None,
        architecture.generates,
        f"parameters, matmul FLOPs and state, by formula{left_out}",
        "other FLOPs and moved bytes; seconds and dollars, by a roofline without launches",
        limit=limit,
        fixed=fixed,
        published=published,
        windows=tuple(sorted({one.window for one in sublayers if one.kind == "attention" and one.window})),
        chunks=tuple(sorted({one.chunk for one in sublayers if one.kind == "mamba2"})),
        experts=tuple(sorted({(one.n_experts, one.top_k) for one in sublayers if one.kind == "moe"})),
        shape=lambda: shape_of(architecture, name),
    )
