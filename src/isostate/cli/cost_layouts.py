"""`isostate cost --fit-on`: the layouts in which a model trains on a cluster, best first."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from rich.table import Table

from isostate.cli import cost_words, show
from isostate.config import UserError

if TYPE_CHECKING:
    from isostate.costs.fit_on import Fits
    from isostate.costs.sheet import Setting
    from isostate.costs.subject import Subject

MOST = 12  # layouts on the screen; --json has all
WAYS = {"data": "dp", "tensor": "tp", "pipeline": "pp", "context": "cp", "expert": "ep"}  # as the field writes them


def fit(subject: Subject, at: Setting, devices: str, json: bool) -> int:
    """Prints the layouts. Raises UserError for a model or devices that have none."""
    from isostate.costs.fit_on import fit_on

    if subject.shape is None:
        raise UserError(f"{subject.name}: --fit-on takes presets and config.json files, no configs of Isostate's")
    if at.dtype not in ("bf16", "fp16"):
        raise UserError(f"--dtype {at.dtype}: layouts are for mixed precision; take bf16 or fp16")
    found = fit_on(devices, subject.shape(), at.batch, at.context, at.dtype)
    rows = rows_of(found, at)
    if json:
        answer = {"model": subject.name, "devices": devices, "n_tried": found.n_tried, "layouts": rows,
                  "batch": at.batch, "context": at.context, "dtype": at.dtype,
                  "usable_bytes": found.usable_bytes}  # fmt: skip
        show.print_json(answer)
        return 0
    screen = show.console()
    screen.print(
        f"{subject.name} on {found.cluster.n_devices:,} x {found.cluster.hardware.name} · batch {at.batch:,} · "
        f"context {at.context:,} · {at.dtype} with fp32 gradients and AdamW",
        soft_wrap=True,
    )
    screen.print(table_of(rows[:MOST]))
    screen.print(
        f"{len(rows):,} of {found.n_tried:,} layouts fit in {show.decimal(found.usable_bytes, 'B')} a device, by "
        "estimate; dp, tp, pp, cp, ep: ways of data, tensor, pipeline, context (ring) and expert parallelism; "
        "z: ZeRO stage; mb: sequences a micro-batch; re: recomputation",
        soft_wrap=True,
    )
    return 0


def rows_of(found: Fits, at: Setting) -> list[dict[str, Any]]:
    """Each layout with its memory a device, its time an update, and what all tokens take."""
    return [
        {
            "layout": dataclasses.asdict(one.layout),
            "memory": {**dataclasses.asdict(one.memory), "total": one.memory.total},
            "update_s": one.time.total_s,
            "tokens_per_s": one.tokens_per_s,
            "mfu": one.mfu,
            "training_s": at.tokens / one.tokens_per_s,
        }
        for one in found.fits
    ]


def table_of(rows: list[dict[str, Any]]) -> Table:
    """A line a layout; dimensions that no layout splits are left out."""
    ways = [way for way in WAYS if any(row["layout"][way] > 1 for row in rows)]
    cells = [
        [
            *(str(row["layout"][way]) for way in ways),
            str(row["layout"]["zero_stage"]),
            str(row["layout"]["micro_batch"]),
            row["layout"]["recompute"],
            show.decimal(row["memory"]["total"], "B"),
            cost_words.seconds(row["update_s"]),
            show.decimal(row["tokens_per_s"]),
            f"{100 * row['mfu']:.1f} %",
            cost_words.seconds(row["training_s"]),
        ]
        for row in rows
    ]
    head = [*(WAYS[way] for way in ways), "z", "mb", "re", "memory", "update", "tokens/s", "MFU", "training"]
    return show.table(head, cells, left=0)
