"""`isostate cost --sweep`: how a model's costs grow with its context or its batch, as a table and a figure."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from isostate.cli import cost_words, show
from isostate.cli.amounts import doubled
from isostate.config import UserError, nearest

if TYPE_CHECKING:
    from isostate.costs.sheet import Setting
    from isostate.costs.subject import Subject

AXES = ("context", "batch")


def sweep(
    subject: Subject, at: Setting, asked: tuple[str, str], out: Path | None, formats: list[str], json: bool
) -> int:
    """Prints the table, writes the figure to `out`. Raises UserError for another axis or range."""
    axis, span = asked
    if axis not in AXES:
        raise UserError(f"--sweep {axis}: unknown{nearest(axis, AXES)}; give context or batch, then LOW..HIGH")
    rows = rows_of(subject, at, axis, doubled(span, "--sweep"))
    answer = {
        "model": subject.name, "axis": axis, "rows": rows,
        "setting": {"batch": at.batch, "context": at.context, "dtype": at.dtype, "hardware": at.hardware.name},
    }  # fmt: skip
    files = _write(answer, out, formats) if out else []
    if json:
        show.print_json(answer)
        return 0
    screen = show.console()
    fixed = f"batch {at.batch:,}" if axis == "context" else f"context {at.context:,}"
    screen.print(f"{subject.name} · {fixed} · {at.dtype} · {at.hardware.name}", soft_wrap=True)
    screen.print(table_of(axis, rows))
    for path in files:
        screen.print(f"wrote {path}", soft_wrap=True)
    return 0


def rows_of(subject: Subject, at: Setting, axis: str, values: list[int]) -> list[dict[str, Any]]:
    """The numbers of the sheet at each value."""
    from isostate.costs.sheet import numbers

    settings = [
        dataclasses.replace(at, context=value) if axis == "context" else dataclasses.replace(at, batch=value)
        for value in values
    ]
    return [{axis: value, **numbers(subject, one)} for value, one in zip(values, settings, strict=True)]


def table_of(axis: str, rows: list[dict[str, Any]]) -> Table:
    """A line a value."""
    generates = "decode.seconds" in rows[0]
    head = [axis, "FLOPs", "prefill", "bound"]
    if generates:
        head += ["decode", "bound", "tokens/s", "state", "fits"]
    cells = []
    for row in rows:
        line = [f"{row[axis]:,}", show.decimal(row["forward.matmul_flops"])]
        line += [cost_words.seconds(row["forward.seconds"]), row["forward.bound"]]
        if generates:
            memory = row["memory_bytes"]
            line += [cost_words.seconds(row["decode.seconds"]), row["decode.bound"]]
            line += [show.decimal(row["decode.tokens_per_s"]), show.decimal(row["state.batch_bytes"], "B")]
            line.append("?" if memory is None else "yes" if row["generation_bytes"] <= memory else "no")
        cells.append(line)
    return show.table(head, cells)


def _write(answer: dict[str, Any], folder: Path, formats: list[str]) -> list[Path]:
    from isostate.report.cost_figures import write_sweep

    return write_sweep(answer, folder, [name.strip() for name in formats])
